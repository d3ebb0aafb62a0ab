//! RunPod, REST API v1: <https://docs.runpod.io/api-reference>. Its prices are in the GraphQL API only.

use serde_json::{Value, json};
use ureq::http::Method;

use super::field::{dollars, id, malformed, port, text, time};
use super::http::{Http, Reply};
use crate::money::Price;
use crate::provider::{Address, Instance, InstanceId, LaunchRequest, Phase, Provider, Status, Timed, Wanted};
use crate::provider_error::ProviderError;

const PRICE: &str = "POST /graphql gpuTypes";
const LAUNCH: &str = "POST /pods";
const LIST: &str = "GET /pods";
const ONE: &str = "GET /pods/ID";
const TERMINATE: &str = "DELETE /pods/ID";
const USER: &str = "root";
/// Has an SSH server.
const IMAGE: &str = "runpod/pytorch:2.8.0-py3.11-cuda12.8.1-cudnn-devel-ubuntu22.04";

pub struct RunPod {
    pub http: Http,
    /// The GraphQL API.
    pub prices: Http,
}

impl RunPod {
    pub const URL: &'static str = "https://rest.runpod.io/v1";
    pub const PRICES_URL: &'static str = "https://api.runpod.io";

    fn body(request: LaunchRequest<'_>) -> Value {
        let mut body = json!({
            "name": request.name,
            "gpuTypeIds": [request.wanted.host_type],
            "gpuCount": 1,
            "cloudType": "SECURE",
            "imageName": request.image.unwrap_or(IMAGE),
            "ports": ["22/tcp"],
        });
        if let Some(region) = request.wanted.region {
            body["dataCenterIds"] = json!([region]);
        }
        body
    }
}

/// `None` for a pod that has ended.
fn pod(call: &'static str, value: &Value) -> Result<Option<Instance>, ProviderError> {
    let status = text(value, "/desiredStatus").ok_or_else(|| malformed(call, "a pod has no `desiredStatus`"))?;
    let address = text(value, "/publicIp").zip(port(value, "/portMappings/22"));
    let address = address.and_then(|(host, port)| Address::ssh(&host, port, USER));
    let phase = match status.as_str() {
        "TERMINATED" => return Ok(None),
        // A stopped pod still pays for its disk.
        "EXITED" => Phase::Stopping,
        _ if address.is_none() => Phase::Starting,
        _ => Phase::Running,
    };
    Ok(Some(Instance {
        id: id(call, value, "/id")?,
        name: text(value, "/name").unwrap_or_default(),
        phase,
        address,
        started_at: time(value, "/lastStartedAt"),
        price: dollars(value, "/adjustedCostPerHr").or_else(|| dollars(value, "/costPerHr")),
    }))
}

impl Provider for RunPod {
    fn price(&self, wanted: Wanted<'_>) -> Result<Timed<Price>, ProviderError> {
        let query = "query($id: String!) { gpuTypes(input: {id: $id}) { id securePrice } }";
        let body = json!({ "query": query, "variables": { "id": wanted.host_type } });
        let Reply { body, at } = self.prices.send(PRICE, Method::POST, "/graphql", Some(&body))?;
        let Some(types) = body.pointer("/data/gpuTypes").and_then(Value::as_array) else {
            let why = text(&body, "/errors/0/message").unwrap_or_else(|| "no `data.gpuTypes`".to_owned());
            return Err(malformed(PRICE, why));
        };
        let unknown = || ProviderError::UnknownHostType(wanted.host_type.to_owned());
        let found = types.iter().find(|kind| kind["id"] == wanted.host_type).ok_or_else(unknown)?;
        // No price: nobody offers one.
        let none = || ProviderError::NoCapacity(wanted.host_type.to_owned(), wanted.region.map(str::to_owned));
        let price = dollars(found, "/securePrice").filter(|price| price.0 > 0).ok_or_else(none)?;
        Ok(Timed { value: price, at })
    }

    fn launch(&self, request: LaunchRequest<'_>) -> Result<Timed<InstanceId>, ProviderError> {
        let Reply { body, at } = self.http.send(LAUNCH, Method::POST, "/pods", Some(&RunPod::body(request)))?;
        Ok(Timed { value: id(LAUNCH, &body, "/id")?, at })
    }

    fn list(&self) -> Result<Timed<Vec<Instance>>, ProviderError> {
        let Reply { body, at } = self.http.get(LIST, "/pods")?;
        let pods = super::field::list(LIST, &body, "")?.iter().filter_map(|value| pod(LIST, value).transpose());
        Ok(Timed { value: pods.collect::<Result<_, _>>()?, at })
    }

    fn status(&self, wanted: &InstanceId) -> Status {
        match self.http.get(ONE, &format!("/pods/{wanted}")) {
            Ok(Reply { body, at }) => match pod(ONE, &body) {
                Ok(Some(found)) if found.id == *wanted => Status::Exists(Timed { value: found, at }),
                Ok(Some(_)) => Status::Unknown(malformed(ONE, "it is about another pod")),
                Ok(None) => Status::Gone(Timed { value: None, at }),
                Err(error) => Status::Unknown(error),
            },
            Err(ProviderError::Refused { status: 404, .. }) => Status::Gone(Timed { value: None, at: None }),
            Err(error) => Status::Unknown(error),
        }
    }

    fn terminate(&self, instance: &InstanceId) -> Result<(), ProviderError> {
        self.http.send(TERMINATE, Method::DELETE, &format!("/pods/{instance}"), None).map(|_| ())
    }

    fn launch_call(&self, request: LaunchRequest<'_>) -> String {
        format!("{LAUNCH} {}", RunPod::body(request))
    }

    fn terminate_call(&self, instance: &InstanceId) -> String {
        format!("DELETE /pods/{instance}")
    }
}
