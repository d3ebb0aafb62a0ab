//! vast.ai, API v0: <https://docs.vast.ai/api-reference>. A launch accepts the cheapest offer of a type up to the price of the
//! plan.

use serde_json::{Value, json};
use ureq::http::Method;

use super::field::{dollars, id, list, malformed, port, seconds, text};
use super::http::{Http, Reply};
use crate::money::Price;
use crate::provider::{Address, Instance, InstanceId, LaunchRequest, Phase, Provider, Status, Timed, Wanted};
use crate::provider_error::ProviderError;

const OFFERS: &str = "POST /bundles/";
const LAUNCH: &str = "PUT /asks/ID/";
const LIST: &str = "GET /instances/";
const ONE: &str = "GET /instances/ID/";
const TERMINATE: &str = "DELETE /instances/ID/";
const USER: &str = "root";
const IMAGE: &str = "vastai/pytorch:latest";
/// Gigabytes of disk.
const DISK: u64 = 64;
/// Offers that are compared.
const COMPARED: u64 = 64;

pub struct Vast {
    pub http: Http,
}

/// The cheapest offer of a type.
struct Offer {
    id: InstanceId,
    price: Price,
}

impl Vast {
    pub const URL: &'static str = "https://console.vast.ai/api/v0";

    fn cheapest(&self, wanted: Wanted<'_>) -> Result<Timed<Offer>, ProviderError> {
        let mut body = json!({
            "gpu_name": { "eq": wanted.host_type.replace('_', " ") },
            "num_gpus": { "eq": 1 },
            "rentable": { "eq": true },
            "verified": { "eq": true },
            "type": "ondemand",
            "allocated_storage": DISK,
            "order": [["dph_total", "asc"]],
            "limit": COMPARED,
        });
        if let Some(region) = wanted.region {
            body["geolocation"] = json!({ "in": [region] });
        }
        let Reply { body, at } = self.http.send(OFFERS, Method::POST, "/bundles/", Some(&body))?;
        let mut best: Option<Offer> = None;
        for offer in list(OFFERS, &body, "/offers")? {
            let price = dollars(offer, "/dph_total").ok_or_else(|| malformed(OFFERS, "an offer has no `dph_total`"))?;
            if best.as_ref().is_none_or(|best| price < best.price) {
                best = Some(Offer { id: id(OFFERS, offer, "/id")?, price });
            }
        }
        let none = || ProviderError::NoCapacity(wanted.host_type.to_owned(), wanted.region.map(str::to_owned));
        Ok(Timed { value: best.ok_or_else(none)?, at })
    }

    fn body(request: LaunchRequest<'_>) -> Value {
        json!({
            "image": request.image.unwrap_or(IMAGE),
            "label": request.name,
            "disk": DISK,
            "runtype": "ssh_direct",
            "target_state": "running",
        })
    }
}

fn instance(call: &'static str, value: &Value) -> Result<Instance, ProviderError> {
    let direct = text(value, "/public_ipaddr").zip(direct_port(value));
    let proxied = || text(value, "/ssh_host").zip(port(value, "/ssh_port"));
    let address = direct.or_else(proxied).and_then(|(host, port)| Address::ssh(host.trim(), port, USER));
    let phase = match text(value, "/actual_status").as_deref() {
        None | Some("created" | "loading") => Phase::Starting,
        // Its disk is billed until it is destroyed.
        Some("stopped" | "exited") => Phase::Stopping,
        Some(_) => Phase::Running,
    };
    Ok(Instance {
        id: id(call, value, "/id")?,
        name: text(value, "/label").unwrap_or_default(),
        phase,
        address,
        started_at: seconds(value, "/start_date"),
        price: dollars(value, "/dph_total"),
    })
}

fn direct_port(value: &Value) -> Option<u16> {
    text(value, "/ports/22~1tcp/0/HostPort")?.parse().ok()
}

impl Provider for Vast {
    fn price(&self, wanted: Wanted<'_>) -> Result<Timed<Price>, ProviderError> {
        self.cheapest(wanted).map(|Timed { value, at }| Timed { value: value.price, at })
    }

    fn launch(&self, request: LaunchRequest<'_>) -> Result<Timed<InstanceId>, ProviderError> {
        let offer = self.cheapest(request.wanted)?.value;
        if offer.price > request.price {
            return Err(ProviderError::NoCapacity(request.wanted.host_type.to_owned(), None));
        }
        let path = format!("/asks/{}/", offer.id);
        let Reply { body, at } = self.http.send(LAUNCH, Method::PUT, &path, Some(&Vast::body(request)))?;
        Ok(Timed { value: id(LAUNCH, &body, "/new_contract")?, at })
    }

    fn list(&self) -> Result<Timed<Vec<Instance>>, ProviderError> {
        let Reply { body, at } = self.http.get(LIST, "/instances/")?;
        let found = list(LIST, &body, "/instances")?.iter().map(|value| instance(LIST, value));
        Ok(Timed { value: found.collect::<Result<_, _>>()?, at })
    }

    fn status(&self, wanted: &InstanceId) -> Status {
        match self.http.get(ONE, &format!("/instances/{wanted}/")) {
            Ok(Reply { body, at }) => match body.pointer("/instances") {
                Some(Value::Null) => Status::Gone(Timed { value: None, at }),
                Some(value) => match instance(ONE, value) {
                    Ok(found) if found.id == *wanted => Status::Exists(Timed { value: found, at }),
                    Ok(_) => Status::Unknown(malformed(ONE, "it is about another instance")),
                    Err(error) => Status::Unknown(error),
                },
                None => Status::Unknown(malformed(ONE, "no `instances`")),
            },
            Err(ProviderError::Refused { status: 404, .. }) => Status::Gone(Timed { value: None, at: None }),
            Err(error) => Status::Unknown(error),
        }
    }

    fn terminate(&self, instance: &InstanceId) -> Result<(), ProviderError> {
        let path = format!("/instances/{instance}/");
        let body = self.http.send(TERMINATE, Method::DELETE, &path, Some(&json!({})))?.body;
        match body.pointer("/success").and_then(Value::as_bool) {
            Some(false) => {
                let why = text(&body, "/msg").unwrap_or_else(|| "`success` is false".to_owned());
                Err(malformed(TERMINATE, why))
            }
            _ => Ok(()),
        }
    }

    fn launch_call(&self, request: LaunchRequest<'_>) -> String {
        format!("PUT /asks/OFFER/ {} (the cheapest offer up to {})", Vast::body(request), request.price)
    }

    fn terminate_call(&self, instance: &InstanceId) -> String {
        format!("DELETE /instances/{instance}/")
    }
}
