//! Writes training shards; one is open at a time.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};

use crate::corpus_documents::{NDJSON, write_failure};
use stepwell_artifact::{ArtifactStore, ArtifactWriter};
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::Failure;

pub struct Shards<'a> {
    artifacts: &'a ArtifactStore,
    shard_bytes: u64,
    closed: BTreeMap<String, ArtifactRef>,
    open: Option<BufWriter<ArtifactWriter>>,
    open_bytes: u64,
}

impl<'a> Shards<'a> {
    pub fn new(artifacts: &'a ArtifactStore, shard_bytes: u64) -> Self {
        Shards { artifacts, shard_bytes, closed: BTreeMap::new(), open: None, open_bytes: 0 }
    }

    /// Adds one document, as a line.
    pub fn add(&mut self, line: &[u8]) -> Result<(), Failure> {
        let out = match &mut self.open {
            Some(out) => out,
            None => self.open.insert(BufWriter::new(self.artifacts.writer(NDJSON)?)),
        };
        out.write_all(line).map_err(|error| write_failure("a training shard", &error))?;
        self.open_bytes += line.len() as u64;
        if self.open_bytes >= self.shard_bytes { self.close() } else { Ok(()) }
    }

    pub fn count(&self) -> usize {
        self.closed.len() + usize::from(self.open.is_some())
    }

    fn close(&mut self) -> Result<(), Failure> {
        if let Some(out) = self.open.take() {
            let name = format!("shard-{:05}.jsonl", self.closed.len());
            self.closed.insert(name, finish(out)?);
            self.open_bytes = 0;
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<ArtifactRef, Failure> {
        self.close()?;
        Ok(self.artifacts.put_tree(&self.closed)?)
    }
}

pub fn finish(out: BufWriter<ArtifactWriter>) -> Result<ArtifactRef, Failure> {
    let writer = out.into_inner().map_err(|error| write_failure("documents", error.error()))?;
    Ok(writer.finish()?)
}
