//! Artifacts in both directions, by digest: what the other side has already does not travel.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use stepwell_artifact::{ArtifactStore, Holder};
use stepwell_base::artifact::{ArtifactRef, Digest};
use stepwell_base::failure::Failure;
use stepwell_base::protocol::AttemptRequest;

use super::super::host::HostError;
use super::super::program::Printed;
use super::line::{Line, TRANSFER, quoted};
use super::ready::receive;

/// Artifacts of one attempt, here and there.
pub(super) struct Content<'a> {
    line: &'a Line,
    state_dir: &'a Path,
    /// The folder on the host that stands for the state directory.
    there: String,
    store: ArtifactStore,
}

impl<'a> Content<'a> {
    pub(super) fn new(
        line: &'a Line,
        state_dir: &'a Path,
        there: &str,
        holder: String,
    ) -> Result<Content<'a>, HostError> {
        let store = ArtifactStore::open_as(state_dir, &Holder::Attempt(holder)).map_err(local)?;
        Ok(Content { line, state_dir, there: there.to_owned(), store })
    }

    /// Sends what the request refers to.
    pub(super) fn push(&self, request: &AttemptRequest) -> Result<(), HostError> {
        let mut wanted = BTreeMap::new();
        for artifact in referred_to(request) {
            self.expand(&artifact, &mut wanted)?;
        }
        let names = wanted.keys().map(|digest| self.path_there(digest)).collect::<Vec<_>>().join("\n");
        if names.is_empty() {
            return Ok(());
        }
        let script = "while read -r name; do [ -f \"$name\" ] || echo \"$name\"; done";
        let missing = self.line.send(script, io::Cursor::new(format!("{names}\n").into_bytes()), TRANSFER)?;
        let missing: BTreeSet<&str> = std::str::from_utf8(&missing).unwrap_or_default().lines().collect();
        for artifact in wanted.values() {
            let path = self.path_there(&artifact.digest);
            if missing.contains(path.as_str()) {
                let file = File::open(self.store.blob_path(&artifact.digest));
                let file = file.map_err(|error| local_io(&error))?;
                self.line.send(&receive(Path::new(&path), artifact.size, "444"), file, TRANSFER)?;
            }
        }
        Ok(())
    }

    /// Adds an artifact and everything below it.
    fn expand(&self, artifact: &ArtifactRef, wanted: &mut BTreeMap<Digest, ArtifactRef>) -> Result<(), HostError> {
        if wanted.insert(artifact.digest.clone(), artifact.clone()).is_none() && artifact.is_tree() {
            let tree = self.store.read_tree(artifact).map_err(local)?;
            tree.entries.values().try_for_each(|entry| self.expand(entry, wanted))?;
        }
        Ok(())
    }

    /// Copies an artifact and everything below it into the store here.
    pub(super) fn bring(&self, artifact: &ArtifactRef) -> Result<(), HostError> {
        if artifact.is_tree() {
            // The entries come first, so that a tree which is here is whole.
            let path = self.store.blob_path(&artifact.digest);
            if !path.exists() {
                let manifest = self.line.shell(&format!("cat {}", quoted(&self.path_there(&artifact.digest))))?;
                let tree = stepwell_artifact::Tree::decode(&manifest).map_err(local)?;
                tree.entries.values().try_for_each(|entry| self.bring(entry))?;
                let copied = self.store.put_bytes(&manifest, &artifact.media_type).map_err(local)?;
                return self.expect(artifact, &copied);
            }
        }
        if !self.store.blob_path(&artifact.digest).exists() {
            return self.fetch(artifact);
        }
        // Published again, so that a clean-up leaves it alone until a row refers to it.
        let path = self.store.blob_path(&artifact.digest);
        self.store.put_file(&path, &artifact.media_type).map(drop).map_err(local)
    }

    fn fetch(&self, artifact: &ArtifactRef) -> Result<(), HostError> {
        let mut command = self.line.command(&format!("cat {}", quoted(&self.path_there(&artifact.digest))));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let broken = |error: &dyn std::fmt::Display| HostError::Unreachable(format!("{}: {error}", self.line.host()));
        // No failpoint: a transfer that ends early has another digest, and is repeated.
        let mut child = command.spawn().map_err(|error| broken(&error))?;
        let Some(mut stream) = child.stdout.take() else { return Err(broken(&"no output")) };
        let copied = self
            .store
            .put_written(artifact.size, &artifact.media_type, |writer| io::copy(&mut stream, writer).map(drop));
        drop(stream);
        let status = child.wait().map_err(|error| broken(&error))?;
        let copied = copied.map_err(local)?;
        if !status.success() {
            return Err(self.line.explain(&Printed {
                code: status.code(),
                out: Vec::new(),
                err: "a transfer broke off".to_owned(),
            }));
        }
        self.expect(artifact, &copied)
    }

    fn expect(&self, artifact: &ArtifactRef, copied: &ArtifactRef) -> Result<(), HostError> {
        if copied.digest == artifact.digest {
            return Ok(());
        }
        let (host, expected, actual) = (self.line.host(), &artifact.digest, &copied.digest);
        Err(HostError::Unreachable(format!("{host}: artifact {expected} arrived as {actual}")))
    }

    fn path_there(&self, digest: &Digest) -> String {
        let path = self.store.blob_path(digest);
        let path = path.strip_prefix(self.state_dir).unwrap_or(&path);
        format!("{}/{}", self.there, path.display())
    }
}

/// The artifacts in the arguments and checkpoints of a request.
fn referred_to(request: &AttemptRequest) -> Vec<ArtifactRef> {
    let mut found: Vec<ArtifactRef> =
        request.checkpoints.iter().filter_map(|checkpoint| checkpoint.artifact.clone()).collect();
    collect(&request.with, &mut found);
    for checkpoint in &request.checkpoints {
        collect(&checkpoint.state, &mut found);
    }
    found
}

fn collect(value: &Value, found: &mut Vec<ArtifactRef>) {
    match value {
        Value::Object(entries) => match serde_json::from_value(value.clone()) {
            Ok(artifact) => found.push(artifact),
            Err(_) => entries.values().for_each(|value| collect(value, found)),
        },
        Value::Array(items) => items.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

fn local(error: stepwell_artifact::ArtifactError) -> HostError {
    // The store here, not the host: a retry by itself would not help.
    HostError::Refused(Failure::from(error))
}

fn local_io(error: &io::Error) -> HostError {
    HostError::Refused(Failure::io("cannot read an artifact", error))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn artifacts_are_found_at_any_depth() {
        let artifact = |text: &str| json!({ "digest": Digest::of(text.as_bytes()), "size": 1, "media_type": "x" });
        let mut found = Vec::new();
        collect(&json!({ "a": [artifact("1"), { "b": artifact("2") }], "digest": "no" }), &mut found);
        let digests: Vec<Digest> = found.into_iter().map(|artifact| artifact.digest).collect();
        assert_eq!(digests, [Digest::of(b"1"), Digest::of(b"2")]);
    }
}
