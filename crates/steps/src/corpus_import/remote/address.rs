//! Addresses that a source may have: by default only public ones, so that a workflow cannot reach into the network of
//! the machine that runs it. Every address that a name resolves to is checked, of redirects as well.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Addresses that may be connected to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    Public,
    /// Also addresses of private networks and of this machine.
    Any,
}

/// Text in the error of a refused address, by which it is recognised.
#[derive(Debug, thiserror::Error)]
#[error("{host} has the address {address}, which is not public")]
pub struct NotPublic {
    pub host: String,
    pub address: IpAddr,
}

/// Resolves names, and refuses one with any address that may not be reached. The connection uses the addresses that
/// were checked.
#[derive(Debug)]
pub struct Guard(pub Reach);

impl Resolver for Guard {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let addresses = DefaultResolver::default().resolve(uri, config, timeout)?;
        let hidden = addresses.iter().map(|address| address.ip()).find(|address| !is_public(*address));
        match hidden {
            Some(address) if self.0 == Reach::Public => {
                let host = uri.host().unwrap_or_default().to_owned();
                Err(ureq::Error::Io(std::io::Error::other(NotPublic { host, address })))
            }
            _ => Ok(addresses),
        }
    }
}

/// True for addresses of the public internet (IANA special-purpose registries, RFC 6890).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = a == 0
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        // Shared address space of carriers, RFC 6598.
        || a == 100 && (64..128).contains(&b)
        || (a, b, c) == (192, 0, 0)
        // Relay of 6to4, RFC 7526.
        || (a, b, c) == (192, 88, 99)
        // Benchmarks, RFC 2544.
        || a == 198 && (b == 18 || b == 19)
        // Multicast, reserved and broadcast.
        || a >= 224;
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    if let Some(inner) = embedded(&segments) {
        return is_public_v4(inner);
    }
    // Global unicast addresses, without those for documentation, Teredo and other protocols.
    (0x2000..0x4000).contains(&segments[0])
        && !(segments[0] == 0x2001 && (segments[1] < 0x200 || segments[1] == 0xDB8))
        && !(segments[0] == 0x3FFF && segments[1] < 0x1000)
}

/// The IPv4 address inside of mapped, translated (RFC 6052) and 6to4 addresses.
fn embedded(segments: &[u16; 8]) -> Option<Ipv4Addr> {
    let pair = match segments {
        [0, 0, 0, 0, 0, 0xFFFF, high, low] => [*high, *low],
        [0x64, 0xFF9B, 0, 0, 0, 0, high, low] => [*high, *low],
        [0x2002, high, low, ..] => [*high, *low],
        _ => return None,
    };
    let [[a, b], [c, d]] = pair.map(u16::to_be_bytes);
    Some(Ipv4Addr::new(a, b, c, d))
}
