//! What every handler works with.

use std::sync::Arc;

use axum::http::Method;
use bytes::Bytes;
use jiff::Timestamp;

use crate::desk::Desk;
use crate::events::Feed;
use crate::gauges::Traffic;
use crate::guard::{Buckets, Hosts, Keyring};
use crate::openai::{Bell, Uploads};
use crate::problem::Problem;
use crate::route::{Access, AccessMap, Pace};
use crate::store::Connections;
use stepwell_store::{Reader, Store};

/// Shared by all requests; cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Parts>);

pub(crate) struct Parts {
    pub(crate) connections: Connections,
    pub(crate) desk: Arc<dyn Desk>,
    pub(crate) feed: Feed,
    pub(crate) keyring: Keyring,
    pub(crate) hosts: Hosts,
    pub(crate) access: AccessMap,
    pub(crate) openapi: Bytes,
    /// Changes of each identity.
    pub(crate) changes: Buckets,
    /// Wrong tokens and codes of each address.
    pub(crate) failures: Buckets,
    /// Name of the cookie of sessions. Servers on other ports of this machine have others.
    pub(crate) cookie: String,
    pub(crate) traffic: Traffic,
    pub(crate) started_at: Timestamp,
    pub(crate) uploads: Uploads,
    pub(crate) bell: Bell,
}

impl AppState {
    pub(crate) fn new(parts: Parts) -> AppState {
        AppState(Arc::new(parts))
    }

    /// Runs queries on a thread for blocking work, with an open reader.
    ///
    /// # Errors
    /// Those of `question`; `busy` when no reader is free for long.
    pub async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Reader) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        self.0.connections.read(question).await
    }

    /// Changes rows that any process may change, on a thread for blocking work.
    ///
    /// # Errors
    /// Those of `change`.
    pub async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Store) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        self.0.connections.write(change).await
    }

    /// Asks the program, on a thread for blocking work.
    ///
    /// # Errors
    /// Those of `question`.
    pub async fn ask<T: Send + 'static, E: Into<Problem> + Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Desk) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Problem> {
        let desk = Arc::clone(&self.0.desk);
        self.0.connections.block(move || question(&*desk).map_err(Into::into)).await
    }

    /// Does other work that blocks, on a thread for it.
    ///
    /// # Errors
    /// Those of `work`; `busy` when no thread is free for long.
    pub async fn block<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        self.0.connections.block(work).await
    }

    /// Places for uploads.
    pub(crate) fn uploads(&self) -> &Uploads {
        &self.0.uploads
    }

    /// Rings when a batch needs a look.
    pub(crate) fn bell(&self) -> &Bell {
        &self.0.bell
    }

    pub fn feed(&self) -> &Feed {
        &self.0.feed
    }

    pub(crate) fn keyring(&self) -> &Keyring {
        &self.0.keyring
    }

    pub(crate) fn hosts(&self) -> &Hosts {
        &self.0.hosts
    }

    pub(crate) fn access(&self, method: &Method, path: &str) -> (Access, Pace) {
        self.0.access.of(method, path)
    }

    pub(crate) fn openapi(&self) -> Bytes {
        self.0.openapi.clone()
    }

    pub(crate) fn changes(&self) -> &Buckets {
        &self.0.changes
    }

    pub(crate) fn failures(&self) -> &Buckets {
        &self.0.failures
    }

    pub(crate) fn cookie(&self) -> &str {
        &self.0.cookie
    }

    pub(crate) fn traffic(&self) -> &Traffic {
        &self.0.traffic
    }

    pub fn started_at(&self) -> Timestamp {
        self.0.started_at
    }
}
