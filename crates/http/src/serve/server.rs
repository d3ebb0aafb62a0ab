//! A running server: threads of its own, beside the engine.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::connection;
use super::options::Options;
use super::tls;
use crate::desk::Desk;
use crate::events::Feed;
use crate::gauges::Traffic;
use crate::guard::{Allowance, Buckets, HostError, Hosts, Keyring};
use crate::openai::{self, Bell, Uploads};
use crate::route::openapi;
use crate::state::{AppState, Parts};
use crate::store::Connections;
use crate::table;
use stepwell_store::Store;

/// Changes of one identity.
const CHANGES: Allowance = Allowance { burst: 100.0, per_second: 20.0 };
/// Wrong tokens and codes from one address.
const FAILURES: Allowance = Allowance { burst: 10.0, per_second: 0.2 };

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot start the threads of the server")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error("cannot read `{}`: {why}", path.display())]
    Pem { path: PathBuf, why: String },
    #[error("the certificate cannot be used: {0}")]
    Certificate(String),
}

/// Serves until it is dropped; open connections end then.
pub struct Server {
    runtime: Option<Runtime>,
    address: SocketAddr,
    app: AppState,
    doubt: Option<String>,
}

impl Server {
    /// Listens, and serves on threads of its own. `store` is the connection for tokens, tags and notes.
    ///
    /// # Errors
    /// `Listen` when the address is taken; `Host`, `Pem`, `Certificate` when the options are wrong.
    pub fn start(options: Options, desk: Arc<dyn Desk>, store: Store) -> Result<Server, ServeError> {
        let (tls, validity) = options.tls.as_ref().map(tls::acceptor).transpose()?.unzip();
        let certificate = options.tls.as_ref().zip(validity.flatten());
        let doubt = certificate.and_then(|(tls, validity)| validity.doubt(&tls.certificates, Timestamp::now()));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(Connections::THREADS)
            .thread_name("http")
            .enable_all()
            .build()
            .map_err(ServeError::Runtime)?;
        let listen = |source| ServeError::Listen { address: options.listen, source };
        let listener = runtime.block_on(TcpListener::bind(options.listen)).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let hosts = Hosts::new(address, tls.is_some(), &options.allowed_hosts)?;
        let app = app(options.state_dir, (address, hosts), desk, store);
        runtime.spawn(app.feed().clone().watch(app.clone()));
        runtime.spawn(openai::keep(app.clone()));
        runtime.spawn(connection::accept(listener, table::router(table::routes(), app.clone()), tls));
        Ok(Server { runtime: Some(runtime), address, app, doubt })
    }

    /// Why clients may refuse the certificate, now or soon.
    pub fn doubt(&self) -> Option<&str> {
        self.doubt.as_deref()
    }

    /// The address that the server listens on, with the port that the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address for a browser on this machine.
    pub fn url(&self) -> String {
        let scheme = if self.app.hosts().is_https() { "https" } else { "http" };
        match self.address.ip() {
            ip if ip.is_unspecified() => format!("{scheme}://localhost:{}/", self.address.port()),
            _ => format!("{scheme}://{}/", self.address),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A thread that waits for an engine may take long; the process ends anyway.
            runtime.shutdown_background();
        }
    }
}

pub fn app(state_dir: PathBuf, (address, hosts): (SocketAddr, Hosts), desk: Arc<dyn Desk>, store: Store) -> AppState {
    let routes = table::routes();
    AppState::new(Parts {
        connections: Connections::new(state_dir, store),
        desk,
        feed: Feed::new(),
        keyring: Keyring::default(),
        hosts,
        access: table::access(&routes),
        openapi: Bytes::from(serde_json::to_vec(&openapi(&routes)).unwrap_or_default()),
        changes: Buckets::new(CHANGES),
        failures: Buckets::new(FAILURES),
        cookie: format!("stepwell-{}", address.port()),
        traffic: Traffic::default(),
        started_at: Timestamp::now(),
        uploads: Uploads::default(),
        bell: Bell::default(),
    })
}
