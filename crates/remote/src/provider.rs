//! Who rents machines out, and what they may answer.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::money::Price;
use crate::plan::Key;
use crate::provider_error::ProviderError;

/// Longest id of an instance, and longest name, that is read.
const LONGEST: usize = 256;

/// The provider's own name of an instance.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(String);

impl InstanceId {
    /// `None` for a text that is no path segment: ids become parts of addresses and arguments.
    pub fn parse(text: &str) -> Option<InstanceId> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_plain = (1..=LONGEST).contains(&text.len()) && text.bytes().all(plain);
        (is_plain && !text.starts_with(['-', '.'])).then(|| InstanceId(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The place where a machine listens.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Address {
    Ssh {
        host: String,
        port: u16,
        user: String,
    },
    /// A folder of this machine, which the mock provider uses as the disk of an instance.
    Folder {
        path: String,
    },
}

impl Address {
    /// `None` for names that a shell or `ssh` could read as anything but a name.
    pub fn ssh(host: &str, port: u16, user: &str) -> Option<Address> {
        let plain = |text: &str, more: &[u8]| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || more.contains(&byte);
            (1..=LONGEST).contains(&text.len()) && text.bytes().all(known) && !text.starts_with('-')
        };
        let is_plain = plain(host, b".-:_") && plain(user, b"._-") && port > 0;
        is_plain.then(|| Address::Ssh { host: host.to_owned(), port, user: user.to_owned() })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Starting,
    Running,
    Stopping,
}

/// An instance that exists at the provider, hence may be billed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instance {
    pub id: InstanceId,
    /// Name or tag that was given at the launch.
    pub name: String,
    pub phase: Phase,
    pub address: Option<Address>,
    /// Start of the bill, by the provider's clock.
    pub started_at: Option<Timestamp>,
    pub price: Option<Price>,
}

/// An answer with the provider's time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timed<T> {
    pub value: T,
    /// `None` if the provider does not tell its time.
    pub at: Option<Timestamp>,
}

/// The answer about one instance. An error never means that the instance is gone.
#[derive(Debug)]
pub enum Status {
    Exists(Timed<Instance>),
    /// The provider says that the instance does not exist (any more), and when its bill ended if it knows.
    Gone(Timed<Option<Timestamp>>),
    /// No answer, an error, or an answer that makes no sense.
    Unknown(ProviderError),
}

/// The kind of machine that is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted<'a> {
    pub host_type: &'a str,
    pub region: Option<&'a str>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LaunchRequest<'a> {
    pub name: &'a Key,
    pub wanted: Wanted<'a>,
    pub image: Option<&'a str>,
    /// Offers above this price are not taken.
    pub price: Price,
}

/// A company, or a script, that rents machines out. Every call has a limit of time and of bytes.
pub trait Provider {
    fn price(&self, wanted: Wanted<'_>) -> Result<Timed<Price>, ProviderError>;

    /// Creates an instance with the given name. An error does not mean that none was created.
    fn launch(&self, request: LaunchRequest<'_>) -> Result<Timed<InstanceId>, ProviderError>;

    /// All instances of the account that exist. A new one may be missing for a while.
    fn list(&self) -> Result<Timed<Vec<Instance>>, ProviderError>;

    fn status(&self, instance: &InstanceId) -> Status;

    /// Asks for the end of an instance. Success does not mean that it has ended.
    fn terminate(&self, instance: &InstanceId) -> Result<(), ProviderError>;

    /// The call that [`Provider::launch`] makes, for people: without secrets.
    fn launch_call(&self, request: LaunchRequest<'_>) -> String;

    /// The call that [`Provider::terminate`] makes, for people.
    fn terminate_call(&self, instance: &InstanceId) -> String;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_are_plain() {
        for good in ["i-0", "0920582c7ff041399e34823a0be62549", "123456"] {
            assert!(InstanceId::parse(good).is_some(), "{good}");
        }
        for bad in ["", "-rf", "../x", "a/b", "a b", "a\n", &"x".repeat(257)] {
            assert!(InstanceId::parse(bad).is_none(), "{bad}");
        }
        assert!(Address::ssh("10.0.0.1", 22, "ubuntu").is_some());
        for (host, port, user) in [("-oProxyCommand=x", 22, "u"), ("h", 0, "u"), ("h", 22, "a@b"), ("h", 22, "-l")] {
            assert_eq!(Address::ssh(host, port, user), None, "{host} {port} {user}");
        }
    }
}
