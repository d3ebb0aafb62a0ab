//! Requests to servers, with limits on time, addresses and redirects.

use std::time::Duration;

use ureq::Agent;
use ureq::Body;
use ureq::http::{HeaderMap, Response, Uri};
use ureq::unversioned::transport::DefaultConnector;

use super::address::{Guard, NotPublic, Reach};
use crate::invisible;
use stepwell_base::failure::Failure;

const CONNECT: Duration = Duration::from_secs(30);
/// Longest wait for the head of an answer.
const ANSWER: Duration = Duration::from_secs(60);
/// Longest wait for more of a body; also the longest time that an interrupt waits.
const READ: Duration = Duration::from_secs(20);
const LARGEST_HEAD: usize = 64 << 10;
const MOST_REDIRECTS: usize = 8;
/// Characters of an address or message from a server that a failure shows.
const SHOWN: usize = 300;

pub struct Client {
    agent: Agent,
    token: Option<Credential>,
}

/// A token, and the only server that may see it.
pub struct Credential {
    pub token: String,
    /// Scheme, host and port.
    pub origin: String,
}

impl Client {
    pub fn new(reach: Reach, token: Option<Credential>) -> Client {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // A proxy would resolve the names, so their addresses could not be checked.
            .proxy(None)
            .max_response_header_size(LARGEST_HEAD)
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .timeout_per_read(Some(READ))
            .accept_encoding("identity")
            .user_agent(concat!("stepwell/", env!("CARGO_PKG_VERSION")))
            .build();
        Client { agent: Agent::with_parts(config, DefaultConnector::default(), Guard(reach)), token }
    }

    /// Gets an address and follows redirects. Any status that is no redirect is an answer.
    ///
    /// # Errors
    /// When the server cannot be reached, has an address that is not public, or redirects too often or from HTTPS to
    /// HTTP.
    pub fn get(&self, url: &str, headers: &[(&str, &str)]) -> Result<Response<Body>, Failure> {
        let mut at: Uri = url.parse().map_err(|_| Failure::fatal(format!("{} is no address", cut(url))))?;
        for _ in 0..=MOST_REDIRECTS {
            let mut request = self.agent.get(at.clone());
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            if let Some(credential) = self.token.as_ref().filter(|credential| credential.origin == origin(&at)) {
                request = request.header("authorization", format!("Bearer {}", credential.token));
            }
            let answer = request.call().map_err(|error| unreachable(&at, &error))?;
            let location = header(answer.headers(), "location").filter(|_| answer.status().is_redirection());
            let Some(location) = location else { return Ok(answer) };
            at = redirected(&at, &location)?;
        }
        Err(Failure::fatal(format!("{} redirects more than {MOST_REDIRECTS} times", cut(url)))
            .with_hint("name the address at the end of the redirects"))
    }
}

pub fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// Scheme, host and port.
pub fn origin(uri: &Uri) -> String {
    let authority = uri.authority().map(|authority| authority.as_str().to_ascii_lowercase()).unwrap_or_default();
    format!("{}://{authority}", uri.scheme_str().unwrap_or_default())
}

fn redirected(from: &Uri, location: &str) -> Result<Uri, Failure> {
    let base = origin(from);
    let target = if location.contains("://") {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{}://{rest}", from.scheme_str().unwrap_or_default())
    } else if location.starts_with('/') {
        format!("{base}{location}")
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{base}{folder}/{location}")
    };
    let target = target.split('#').next().unwrap_or_default();
    let refused = |why: &str| {
        Failure::fatal(format!("{base} redirects to {}, {why}", cut(location)))
            .with_hint("name the address of the file itself")
    };
    let uri: Uri = target.parse().map_err(|_| refused("which is no address"))?;
    match (from.scheme_str(), uri.scheme_str()) {
        (Some("https"), Some("http")) => Err(refused("which is not encrypted")),
        (_, Some("http" | "https")) => Ok(uri),
        _ => Err(refused("which is neither HTTP nor HTTPS")),
    }
}

fn unreachable(uri: &Uri, error: &ureq::Error) -> Failure {
    let shown = cut(&origin(uri));
    if let ureq::Error::Io(inner) = error
        && let Some(hidden) = inner.get_ref().and_then(|inner| inner.downcast_ref::<NotPublic>())
    {
        return Failure::fatal(format!("source {shown}: {hidden}"))
            .with_hint("set `allow_private = true` if this step may read from private networks and from this machine");
    }
    match error {
        ureq::Error::HostNotFound => Failure::retryable(format!("source {shown}: there is no such host"))
            .with_hint("check the name, and that this machine has a network"),
        ureq::Error::Timeout(what) => Failure::retryable(format!("source {shown} did not answer in time ({what})"))
            .with_hint("the next attempt resumes where this one stopped"),
        error => Failure::retryable(format!("source {shown} cannot be reached: {}", cut(&error.to_string())))
            .with_hint("check the address, and that this machine has a network"),
    }
}

/// Shortens text from outside, and makes invisible characters visible.
pub fn cut(text: &str) -> String {
    let short: String = text.trim().chars().take(SHOWN).collect();
    invisible::shown(&short)
}
