//! The writing connection.
use std::ops::Deref;
use std::path::Path;

use jiff::Timestamp;

use super::batch::{Batch, CommitReport, NewRun, Request, Submitted};
use super::error::StoreError;
use super::lock::EngineLock;
use super::reader::Reader;
use crate::core::ids::RunId;

pub struct Store {
    reader: Reader,
}

impl Store {
    pub fn open(_state_dir: &Path) -> Result<Store, StoreError> {
        todo!()
    }
    pub fn begin_epoch(&mut self, _lock: &EngineLock) -> Result<(), StoreError> {
        todo!()
    }
    pub fn submit(&mut self, _run: NewRun) -> Result<Submitted, StoreError> {
        todo!()
    }
    pub fn commit(&mut self, _batch: Batch<'_>) -> Result<CommitReport, StoreError> {
        todo!()
    }
    pub fn request_cancel(&mut self, _run: RunId, _at: Timestamp) -> Result<(), StoreError> {
        todo!()
    }
    pub fn pending_requests(&mut self) -> Result<Vec<Request>, StoreError> {
        todo!()
    }
}

impl Deref for Store {
    type Target = Reader;
    fn deref(&self) -> &Reader {
        &self.reader
    }
}
