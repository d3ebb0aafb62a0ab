//! Calls over HTTP, each with a limit of time and of bytes.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use serde_json::Value;
use ureq::Agent;
use ureq::http::{Method, Request, Response};

use crate::provider_error::ProviderError;
use stepwell_base::json::{Limit, parse};

/// Largest answer that is read; a list of a thousand instances has about 2 MiB.
const ANSWER: Limit = Limit { depth: 64, bytes: 16 << 20 };
const LARGEST_HEAD: usize = 64 << 10;
/// Characters of a refusal that are kept.
const KEPT: usize = 300;

/// How to reach a provider's account.
#[derive(Clone)]
pub struct Access {
    /// Address without a `/` at its end.
    pub url: String,
    /// Secret of the account.
    pub key: String,
    pub timeout: Duration,
}

/// A client of one account. Its key is sent to that address only: redirects are refused.
pub struct Http {
    agent: Agent,
    access: Access,
}

/// An answer with the status 2xx.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) body: Value,
    /// Time of the provider, from the header `Date`.
    pub(super) at: Option<Timestamp>,
}

impl Http {
    pub fn new(access: Access) -> Http {
        let is_local = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"];
        let is_local = is_local.iter().any(|start| access.url.starts_with(start));
        let mut config = Agent::config_builder()
            .https_only(!is_local)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_response_header_size(LARGEST_HEAD)
            .timeout_global(Some(access.timeout))
            .user_agent(concat!("stepwell/", env!("CARGO_PKG_VERSION")));
        if is_local {
            config = config.proxy(None);
        }
        Http { agent: config.build().new_agent(), access }
    }

    pub(super) fn get(&self, call: &'static str, path: &str) -> Result<Reply, ProviderError> {
        self.send(call, Method::GET, path, None)
    }

    pub(super) fn send(
        &self,
        call: &'static str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, ProviderError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.access.url))
            .header("authorization", format!("Bearer {}", self.access.key))
            .header("accept", "application/json");
        let malformed = |error: ureq::http::Error| ProviderError::Malformed { call, why: error.to_string() };
        let answer = match body {
            None => self.agent.run(request.body(()).map_err(malformed)?),
            Some(body) => {
                let request = request.header("content-type", "application/json").body(body.to_string());
                self.agent.run(request.map_err(malformed)?)
            }
        };
        self.read(call, answer)
    }

    fn read(
        &self,
        call: &'static str,
        answer: Result<Response<ureq::Body>, ureq::Error>,
    ) -> Result<Reply, ProviderError> {
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(ureq::Error::Timeout(_)) => {
                return Err(ProviderError::NoAnswer(format!("nothing within {} s", self.access.timeout.as_secs())));
            }
            Err(error) => return Err(ProviderError::NoAnswer(error.to_string())),
        };
        let at = date(&answer);
        let status = answer.status();
        let body = answer.body_mut().with_config().limit(ANSWER.bytes).lossy_utf8(true).read_to_string();
        if !status.is_success() {
            let message = refusal(&body.unwrap_or_default());
            return Err(ProviderError::Refused { status: status.as_u16(), message });
        }
        let text = body.map_err(|error| ProviderError::NoAnswer(error.to_string()))?;
        // A successful deletion may have no body.
        let text = if text.trim().is_empty() { "null" } else { &text };
        let body = parse(text.as_bytes(), ANSWER).map_err(|source| ProviderError::Json { call, source })?;
        Ok(Reply { body, at })
    }
}

fn date<T>(answer: &Response<T>) -> Option<Timestamp> {
    let text = answer.headers().get("date")?.to_str().ok()?;
    DateTimeParser::new().parse_timestamp(text).ok()
}

/// What a provider says about a refusal: the message of a JSON error, or the start of the text.
fn refusal(text: &str) -> String {
    let value: Value = parse(text.as_bytes(), ANSWER).unwrap_or(Value::Null);
    let places = ["/error/message", "/message", "/msg", "/error", "/errors/0/message"];
    let found = places.iter().find_map(|place| value.pointer(place)?.as_str());
    found.unwrap_or(text).trim().chars().take(KEPT).collect()
}
