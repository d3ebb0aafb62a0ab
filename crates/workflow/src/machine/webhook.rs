//! Receivers of events outside this machine, as the settings describe them.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use stepwell_base::secret::SecretSource;

/// A receiver. Its secrets are read when a message is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Webhook {
    /// Unique in the settings. The database remembers by this name what the receiver has.
    pub name: String,
    pub address: Address,
    /// Types of events that it wants.
    pub events: Vec<Pattern>,
    /// Each signs every message. More than one while a secret is replaced.
    pub secrets: Vec<SecretSource>,
    pub headers: BTreeMap<String, HeaderValue>,
    /// Certificates in PEM form that are trusted in place of the public ones.
    pub ca: Option<PathBuf>,
    /// Waits before the second, third, ... attempt to send a message.
    pub retries: Vec<Duration>,
    /// Longest time for one attempt.
    pub timeout: Duration,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HeaderValue {
    Text(String),
    Secret(SecretSource),
}

macro_rules! types {
    ($($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)?) => {
        /// The type of an event that receivers get.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum EventType { $($(#[$doc])* $variant),+ }

        impl EventType {
            pub const ALL: &[EventType] = &[$(EventType::$variant),+];

            pub fn as_str(self) -> &'static str {
                match self { $(EventType::$variant => $text),+ }
            }
        }
    };
}

types! {
    RunStarted = "run.started",
    RunSucceeded = "run.succeeded",
    RunFailed = "run.failed",
    RunCanceled = "run.canceled",
    RunPaused = "run.paused",
    RunResumed = "run.resumed",
    RunInterrupted = "run.interrupted",
    /// A step waits for a person or a signal.
    RunWaiting = "run.waiting",
    /// A notice for a person: a deadline at risk, an exhausted budget.
    RunAlerted = "run.alerted",
    /// No retry follows.
    StepFailed = "step.failed",
    BatchCompleted = "batch.completed",
    BatchFailed = "batch.failed",
    BatchExpired = "batch.expired",
    BatchCancelled = "batch.cancelled",
    /// Sent on demand, to every receiver.
    Test = "webhook.test",
}

/// Types of events: `*`, all of a subject such as `run.*`, or one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern(String);

impl Pattern {
    pub fn all() -> Pattern {
        Pattern("*".to_owned())
    }

    /// `None` if no event has such a type.
    pub fn parse(text: &str) -> Option<Pattern> {
        let pattern = Pattern(text.to_owned());
        EventType::ALL.iter().any(|kind| pattern.matches(*kind)).then_some(pattern)
    }

    pub fn matches(&self, kind: EventType) -> bool {
        match self.0.strip_suffix('*') {
            Some("") => true,
            Some(subject) => subject.ends_with('.') && kind.as_str().starts_with(subject),
            None => self.0 == kind.as_str(),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Webhook {
    /// The patterns as one text.
    pub fn wanted(&self) -> String {
        self.events.iter().map(Pattern::as_str).collect::<Vec<_>>().join(",")
    }

    pub fn wants(&self, kind: EventType) -> bool {
        kind == EventType::Test || self.events.iter().any(|pattern| pattern.matches(kind))
    }
}

/// Longest address, in bytes.
const LONGEST_ADDRESS: usize = 2048;

/// The address of a receiver. Its path may be a secret, as chat services have it; its host is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    url: String,
    /// Host and port, as written.
    host: String,
    is_encrypted: bool,
}

impl Address {
    /// # Errors
    /// What is wrong, and what helps.
    pub fn parse(text: &str) -> Result<Address, (&'static str, &'static str)> {
        const EXAMPLE: &str = "such as \"https://example.com/hook\"";
        let (scheme, rest) = text.split_once("://").ok_or(("is no address", EXAMPLE))?;
        let is_encrypted = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(("is not an address of http or https", EXAMPLE)),
        };
        if text.len() > LONGEST_ADDRESS {
            return Err(("is too long", "an address has at most 2,048 bytes"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(("has characters that an address cannot have", "encode them, such as %20 for a space"));
        }
        if text.contains('#') {
            return Err(("has a fragment", "leave out `#` and what follows: no server sees it"));
        }
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        if host.contains('@') {
            return Err(("has a user and a password in it", "send them in `headers`, from a variable or a file"));
        }
        if name_of(host).is_empty() {
            return Err(("names no host", EXAMPLE));
        }
        Ok(Address { url: text.to_owned(), host: host.to_owned(), is_encrypted })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Host and port, which tell nothing that is secret.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// True if the traffic does not leave this machine.
    pub fn is_loopback(&self) -> bool {
        let name = name_of(&self.host);
        name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// A host without its port and brackets.
fn name_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_no_password() {
        let host = |text: &str| Address::parse(text).map(|address| address.host().to_owned());
        assert_eq!(host("https://example.com/a?b=c"), Ok("example.com".to_owned()));
        assert_eq!(host("http://[::1]:80"), Ok("[::1]:80".to_owned()));
        for wrong in [
            "",
            "example.com",
            "ftp://a/",
            "https://",
            "https://:80/",
            "https://u:p@a/",
            "https://a/#b",
            "https://a/ b",
        ] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Address::parse(&format!("https://a/{}", "x".repeat(2048))).is_err());
    }

    #[test]
    fn only_this_machine_is_loopback() {
        let is_loopback = |text: &str| Address::parse(text).unwrap().is_loopback();
        for near in ["http://localhost/", "http://127.9.9.9:1/x", "http://[::1]/"] {
            assert!(is_loopback(near), "{near}");
        }
        for far in ["http://localhost.evil.test/", "http://127.0.0.1.evil.test/", "http://10.0.0.1/", "http://[::2]/"] {
            assert!(!is_loopback(far), "{far}");
        }
    }

    #[test]
    fn a_pattern_chooses_types_that_exist() {
        let run = Pattern::parse("run.*").unwrap();
        assert!(run.matches(EventType::RunFailed) && !run.matches(EventType::StepFailed));
        assert!(Pattern::parse("step.failed").unwrap().matches(EventType::StepFailed));
        assert!(EventType::ALL.iter().all(|kind| Pattern::all().matches(*kind)));
        for wrong in ["", "run", "run*", "runs.*", "run.fail", "run.failed.*", ".*"] {
            assert_eq!(Pattern::parse(wrong), None, "{wrong}");
        }
    }
}
