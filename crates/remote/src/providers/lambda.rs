//! Lambda Cloud, API v1: <https://docs.lambda.ai/api/cloud>.

use serde_json::{Value, json};
use ureq::http::Method;

use super::field::{id, list, malformed, text};
use super::http::{Http, Reply};
use crate::money::Price;
use crate::provider::{Address, Instance, InstanceId, LaunchRequest, Phase, Provider, Status, Timed, Wanted};
use crate::provider_error::ProviderError;

const TYPES: &str = "GET /instance-types";
const LAUNCH: &str = "POST /instance-operations/launch";
const LIST: &str = "GET /instances";
const ONE: &str = "GET /instances/ID";
const TERMINATE: &str = "POST /instance-operations/terminate";
/// Lambda's images have one user.
const USER: &str = "ubuntu";

pub struct Lambda {
    pub http: Http,
    /// Names of SSH keys in the account; a launch needs one.
    pub ssh_keys: Vec<String>,
}

impl Lambda {
    pub const URL: &'static str = "https://cloud.lambda.ai/api/v1";

    fn body(&self, request: LaunchRequest<'_>) -> Value {
        json!({
            "instance_type_name": request.wanted.host_type,
            "region_name": request.wanted.region,
            "ssh_key_names": self.ssh_keys,
            "name": request.name,
        })
    }
}

/// `None` for an instance that has ended: it is no longer billed.
fn instance(call: &'static str, value: &Value) -> Result<Option<Instance>, ProviderError> {
    let status = text(value, "/status").ok_or_else(|| malformed(call, "an instance has no `status`"))?;
    let phase = match status.as_str() {
        "terminated" | "preempted" => return Ok(None),
        "terminating" => Phase::Stopping,
        "booting" => Phase::Starting,
        // `active`, `unhealthy`, and words to come: billed.
        _ => Phase::Running,
    };
    let address = text(value, "/ip").and_then(|host| Address::ssh(&host, 22, USER));
    let price = value.pointer("/instance_type/price_cents_per_hour").and_then(Value::as_u64);
    Ok(Some(Instance {
        id: id(call, value, "/id")?,
        name: text(value, "/name").unwrap_or_default(),
        phase,
        address,
        started_at: None,
        price: price.and_then(Price::from_cents),
    }))
}

impl Provider for Lambda {
    fn price(&self, wanted: Wanted<'_>) -> Result<Timed<Price>, ProviderError> {
        let Reply { body, at } = self.http.get(TYPES, "/instance-types")?;
        let types = body.pointer("/data").and_then(Value::as_object).ok_or_else(|| malformed(TYPES, "no `data`"))?;
        let unknown = || ProviderError::UnknownHostType(wanted.host_type.to_owned());
        let found = types.get(wanted.host_type).ok_or_else(unknown)?;
        let free = list(TYPES, found, "/regions_with_capacity_available")?;
        let is_free = free.iter().any(|region| wanted.region.is_none_or(|wanted| region["name"] == wanted));
        if !is_free {
            return Err(ProviderError::NoCapacity(wanted.host_type.to_owned(), wanted.region.map(str::to_owned)));
        }
        let cents = found.pointer("/instance_type/price_cents_per_hour").and_then(Value::as_u64);
        let price = cents.and_then(Price::from_cents).ok_or_else(|| malformed(TYPES, "no `price_cents_per_hour`"))?;
        Ok(Timed { value: price, at })
    }

    fn launch(&self, request: LaunchRequest<'_>) -> Result<Timed<InstanceId>, ProviderError> {
        let path = "/instance-operations/launch";
        let Reply { body, at } = self.http.send(LAUNCH, Method::POST, path, Some(&self.body(request)))?;
        Ok(Timed { value: id(LAUNCH, &body, "/data/instance_ids/0")?, at })
    }

    fn list(&self) -> Result<Timed<Vec<Instance>>, ProviderError> {
        let Reply { body, at } = self.http.get(LIST, "/instances")?;
        let found = list(LIST, &body, "/data")?.iter().filter_map(|value| instance(LIST, value).transpose());
        Ok(Timed { value: found.collect::<Result<_, _>>()?, at })
    }

    fn status(&self, wanted: &InstanceId) -> Status {
        match self.http.get(ONE, &format!("/instances/{wanted}")) {
            Ok(Reply { body, at }) => match body.pointer("/data").map(|value| instance(ONE, value)) {
                Some(Ok(Some(found))) if found.id == *wanted => Status::Exists(Timed { value: found, at }),
                Some(Ok(None)) => Status::Gone(Timed { value: None, at }),
                Some(Err(error)) => Status::Unknown(error),
                _ => Status::Unknown(malformed(ONE, "it is about no instance, or another one")),
            },
            Err(ProviderError::Refused { status: 404, .. }) => Status::Gone(Timed { value: None, at: None }),
            Err(error) => Status::Unknown(error),
        }
    }

    fn terminate(&self, instance: &InstanceId) -> Result<(), ProviderError> {
        let body = json!({ "instance_ids": [instance] });
        self.http.send(TERMINATE, Method::POST, "/instance-operations/terminate", Some(&body)).map(|_| ())
    }

    fn launch_call(&self, request: LaunchRequest<'_>) -> String {
        format!("{LAUNCH} {}", self.body(request))
    }

    fn terminate_call(&self, instance: &InstanceId) -> String {
        format!("{TERMINATE} {}", json!({ "instance_ids": [instance] }))
    }
}
