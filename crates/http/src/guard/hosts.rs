//! Names under which the server may be addressed. A page of another site that makes its name point here (DNS rebinding)
//! has another host, and a request that another page makes has another origin.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// Hosts as `Host` and `Origin` name them, in lower case, with their port unless it is that of the scheme.
#[derive(Clone, Debug)]
pub struct Hosts {
    authorities: BTreeSet<String>,
    scheme: Scheme,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scheme {
    Http,
    Https,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is not a host such as `train.example.org` or `train.example.org:8443`")]
pub struct HostError(String);

impl Hosts {
    /// The names of this machine itself, the address that the server listens on, and further names.
    ///
    /// # Errors
    /// When a further name is not a host.
    pub fn new(address: SocketAddr, is_tls: bool, further: &[String]) -> Result<Hosts, HostError> {
        let scheme = if is_tls { Scheme::Https } else { Scheme::Http };
        let mut hosts = Hosts { authorities: BTreeSet::new(), scheme };
        for name in ["127.0.0.1", "[::1]", "localhost"] {
            hosts.add(name, address.port());
        }
        if !address.ip().is_unspecified() {
            hosts.add(&shown(address.ip()), address.port());
        }
        for name in further {
            hosts.allow(name, address.port())?;
        }
        Ok(hosts)
    }

    fn allow(&mut self, name: &str, port: u16) -> Result<(), HostError> {
        let refused = || HostError(name.to_owned());
        let (host, own_port) = match name.rsplit_once(':') {
            Some((host, digits)) if !host.is_empty() && !digits.ends_with(']') => {
                (host, Some(digits.parse::<u16>().map_err(|_| refused())?))
            }
            _ => (name, None),
        };
        let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if inner.is_empty() || !(inner.chars().all(is_plain) || inner.parse::<std::net::Ipv6Addr>().is_ok()) {
            return Err(refused());
        }
        self.add(host, own_port.unwrap_or(port));
        // A proxy in front of the server has the port of its scheme.
        if own_port.is_none() {
            self.authorities.insert(host.to_ascii_lowercase());
        }
        Ok(())
    }

    fn add(&mut self, host: &str, port: u16) {
        let host = host.to_ascii_lowercase();
        if port == self.scheme.port() {
            self.authorities.insert(host.clone());
        }
        self.authorities.insert(format!("{host}:{port}"));
    }

    /// True if `authority`, as in the header `Host`, is one of ours.
    pub fn has(&self, authority: &str) -> bool {
        self.authorities.contains(&authority.to_ascii_lowercase())
    }

    /// True if `origin`, as in the header `Origin`, is one of ours. A name that a proxy serves may have either scheme.
    pub fn has_origin(&self, origin: &str) -> bool {
        match origin.split_once("://") {
            Some(("https", authority)) => self.has(authority),
            Some(("http", authority)) => self.scheme == Scheme::Http && self.has(authority),
            _ => false,
        }
    }

    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::Https
    }
}

impl Scheme {
    fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

fn shown(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(address: &str, further: &[&str]) -> Hosts {
        let further: Vec<String> = further.iter().map(|name| (*name).to_owned()).collect();
        Hosts::new(address.parse().unwrap(), false, &further).unwrap()
    }

    #[test]
    fn only_names_of_this_server_are_ours() {
        let hosts = hosts("127.0.0.1:7878", &["train.example.org", "[fd00::1]:9"]);
        for ours in [
            "127.0.0.1:7878",
            "LOCALHOST:7878",
            "[::1]:7878",
            "train.example.org:7878",
            "train.example.org",
            "[fd00::1]:9",
        ] {
            assert!(hosts.has(ours), "{ours}");
        }
        for foreign in [
            "evil.test",
            "evil.test:7878",
            "127.0.0.1",
            "127.0.0.1:80",
            "localhost.evil.test:7878",
            "",
            "localhost:7878@evil.test",
        ] {
            assert!(!hosts.has(foreign), "{foreign}");
        }
    }

    #[test]
    fn an_origin_is_a_scheme_and_one_of_our_hosts() {
        let hosts = hosts("127.0.0.1:7878", &[]);
        assert!(hosts.has_origin("http://localhost:7878"));
        for foreign in
            ["null", "http://evil.test", "file://", "http://localhost:1", "ftp://localhost:7878", "localhost:7878"]
        {
            assert!(!hosts.has_origin(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_host_is_no_address_of_a_page() {
        for wrong in ["http://x", "a b", "x:port", ":80", "*"] {
            assert!(Hosts::new("127.0.0.1:1".parse().unwrap(), false, &[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }
}
