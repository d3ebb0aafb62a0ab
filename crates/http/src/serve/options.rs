//! Options of a server.

use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Clone, Debug)]
pub struct Options {
    pub state_dir: PathBuf,
    pub listen: SocketAddr,
    /// Names under which the server may be addressed, next to those of this machine.
    pub allowed_hosts: Vec<String>,
    /// `None` to speak plain HTTP.
    pub tls: Option<Tls>,
}

/// Files in PEM form.
#[derive(Clone, Debug)]
pub struct Tls {
    pub certificates: PathBuf,
    pub key: PathBuf,
}
