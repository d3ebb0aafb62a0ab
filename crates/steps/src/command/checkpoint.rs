//! Checkpoint protocol of commands. A program fills `next/`, then creates `next.ready`; the worker commits the folder
//! and removes `next.ready`. `last/` holds the newest committed checkpoint.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::handler::forked_from_nothing;
use crate::{StepContext, StepError};
use stepwell_artifact::{ArtifactStore, Listing, open_regular};
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::Failure;
use stepwell_base::faults::around;
use stepwell_base::json::{self, Limit};

use super::outputs::publish;

/// Number of kept checkpoints: the newest, and one to fall back to if that is damaged.
const KEPT: u32 = 2;

/// Optional content of `next.ready`, shown to people.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Marker {
    last_step: Option<u64>,
    last_doc_index: Option<u64>,
    tokens_so_far: Option<u64>,
    loss: Option<f64>,
    phase: Option<String>,
}

impl Marker {
    pub(super) fn checkpoint(self, artifact: Option<ArtifactRef>) -> Checkpoint {
        Checkpoint {
            artifact,
            state: Value::Null,
            last_step: self.last_step,
            last_doc_index: self.last_doc_index,
            tokens_so_far: self.tokens_so_far,
            loss: self.loss,
            phase: self.phase,
            permanent: false,
            keep: Some(KEPT),
            ..Checkpoint::default()
        }
    }
}

/// The directory `$STEPWELL_CHECKPOINT_DIR`.
pub(super) struct CheckpointDir {
    root: PathBuf,
}

impl CheckpointDir {
    /// Creates a fresh directory with the newest undamaged committed checkpoint as `last/`. Skips damaged ones with a
    /// note.
    ///
    /// # Errors
    /// When the directory cannot be written, or a fork has no usable checkpoint.
    pub(super) fn prepare(context: &mut StepContext<'_>) -> Result<CheckpointDir, Failure> {
        let directory = CheckpointDir { root: context.scratch().join("checkpoint") };
        let renew = || remove(&directory.root).and_then(|()| fs::create_dir_all(&directory.root));
        around!("command.checkpoint.prepare", renew()).map_err(cannot_write)?;
        let mut damaged = false;
        for checkpoint in &context.request.checkpoints {
            let Some(artifact) = &checkpoint.artifact else { continue };
            match context
                .artifacts
                .verify(artifact)
                .and_then(|()| context.artifacts.materialise(artifact, &directory.last()))
            {
                Ok(()) => {
                    if let (true, Some(last_step)) = (damaged, checkpoint.last_step) {
                        context.reporter.rewind(last_step);
                    }
                    return Ok(directory);
                }
                Err(error) => {
                    damaged = true;
                    context.reporter.note(format!("passed over a checkpoint: {error}"));
                }
            }
        }
        if let Some(train_step) = context.request.forked_at {
            return Err(forked_from_nothing(train_step));
        }
        if damaged {
            context.reporter.rewind(0);
            context.reporter.note("no usable checkpoint is left: starting from the beginning".to_owned());
        }
        Ok(directory)
    }

    pub(super) fn path(&self) -> &Path {
        &self.root
    }

    fn last(&self) -> PathBuf {
        self.root.join("last")
    }

    fn ready(&self) -> PathBuf {
        self.root.join("next.ready")
    }

    /// True if the program has announced a checkpoint. A dangling link counts as an announcement.
    pub(super) fn is_announced(&self) -> bool {
        self.ready().symlink_metadata().is_ok()
    }

    /// Commits the checkpoint that the program has announced, if any.
    ///
    /// # Errors
    /// When the checkpoint cannot be stored; fatal for a malformed announcement.
    pub(super) fn commit_announced(&self, context: &mut StepContext<'_>) -> Result<(), StepError> {
        let ready = self.ready();
        if !self.is_announced() {
            return Ok(());
        }
        let marker = read_marker(&ready)?;
        let next = self.root.join("next");
        if !next.is_dir() {
            let failure = Failure::fatal("the program created `next.ready`, but there is no folder `next`");
            return Err(failure
                .with_hint("fill $STEPWELL_CHECKPOINT_DIR/next/ first, then create `next.ready`")
                .into());
        }
        let listing = Listing::of(&next).map_err(|error| unusable(&Failure::from(&error)))?;
        let artifact = around!("command.checkpoint.publish", publish(context.artifacts, &listing))?;
        let kept = artifact.clone();
        around!("command.checkpoint.commit", context.reporter.checkpoint(marker.checkpoint(Some(artifact))))?;
        let replace = || self.replace_last(&next, listing.has_links.then_some(&kept), context.artifacts);
        around!("command.checkpoint.replace", replace())?;
        // Once the marker is gone, the program knows that it will never go back behind this point.
        Ok(around!("command.checkpoint.acknowledge", fs::remove_file(&ready)).map_err(cannot_write)?)
    }

    /// Makes `next` the new `last`. If `next` has links, uses the stored copy: the target of a link may change, and a
    /// later attempt would find a different checkpoint.
    fn replace_last(&self, next: &Path, copy: Option<&ArtifactRef>, artifacts: &ArtifactStore) -> Result<(), Failure> {
        remove(&self.last()).map_err(cannot_write)?;
        match copy {
            Some(artifact) => {
                artifacts.materialise(artifact, &self.last())?;
                remove(next).map_err(cannot_write)
            }
            None => fs::rename(next, self.last()).map_err(cannot_write),
        }
    }
}

pub(super) fn read_marker(path: &Path) -> Result<Marker, Failure> {
    let mut text = Vec::new();
    let file = open_regular(path).map_err(|error| unusable(&Failure::from(&error)))?;
    file.take(Limit::MARKER.bytes + 1)
        .read_to_end(&mut text)
        .map_err(|error| Failure::io("cannot read `next.ready`", &error))?;
    if text.trim_ascii().is_empty() {
        return Ok(Marker::default());
    }
    // Serde would accept a list that has the fields in order.
    let object = json::parse::<Map<String, Value>>(&text, Limit::MARKER);
    object.and_then(|object| Ok(serde_json::from_value(Value::Object(object))?)).map_err(|error| {
        Failure::fatal(format!("`next.ready` is neither empty nor a known JSON object: {error}"))
            .with_hint("write it under another name and rename it; known keys: last_step, last_doc_index, tokens_so_far, loss, phase")
    })
}

fn unusable(failure: &Failure) -> Failure {
    Failure { message: format!("the checkpoint cannot be kept: {}", failure.message), ..failure.clone() }
}

fn cannot_write(error: io::Error) -> Failure {
    Failure::io("cannot write the checkpoint directory", &error)
}

/// Removes a file or folder if it exists.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let result = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_empty_or_an_object_of_known_keys() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("next.ready");
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            read_marker(&path).map(|marker| marker.last_step)
        };
        assert_eq!(read(" \n"), Ok(None));
        assert_eq!(read("{\"last_step\": 3}"), Ok(Some(3)));
        for wrong in ["[]", "[1, 2]", "3", "{\"step\": 3}", "{"] {
            assert!(read(wrong).unwrap_err().message.contains("next.ready"), "{wrong}");
        }
    }
}
