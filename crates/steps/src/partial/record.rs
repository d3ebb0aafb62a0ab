//! The record of what an attempt has made durable, for the next attempt of the same step.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::handler::StepContext;

/// Most bytes of a record that are read back.
const LARGEST: u64 = 64 << 20;

/// Names the record of one step. It is replaced as a whole: a crash leaves the old one, whose files may be longer.
#[derive(Clone)]
pub struct Record {
    path: PathBuf,
    identity: String,
}

#[derive(Serialize)]
struct Written<'a, T> {
    identity: &'a str,
    state: &'a T,
}

#[derive(Deserialize)]
struct Read {
    identity: String,
    state: Value,
}

impl Record {
    /// The record `name` in the scratch directory. `also` stands for input that the key of the step does not cover.
    pub fn new(context: &StepContext<'_>, name: &str, also: &Value) -> Record {
        let request = context.request;
        let identity = json!([request.key.0, request.with, request.fingerprint, also]).to_string();
        let identity = blake3::hash(identity.as_bytes()).to_hex().to_string();
        Record { path: context.scratch().join(name), identity }
    }

    /// Reads the record of an earlier attempt with the same input.
    pub fn load<T: DeserializeOwned>(&self) -> Option<T> {
        if self.path.metadata().ok()?.len() > LARGEST {
            return None;
        }
        let read: Read = serde_json::from_slice(&std::fs::read(&self.path).ok()?).ok()?;
        if read.identity != self.identity {
            return None;
        }
        serde_json::from_value(read.state).ok()
    }

    /// Replaces the record; durable on return. What it describes must be durable before.
    pub fn save<T: Serialize>(&self, state: &T) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&serde_json::to_vec(&Written { identity: &self.identity, state })?)?;
        file.as_file().sync_data()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }

    /// Removes the record: nothing is left to resume.
    pub fn remove(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
