//! Collects the provenance of an artifact from the state.

use std::collections::{BTreeMap, BTreeSet};

use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::{ArtifactRef, Digest};
use stepwell_base::ids::{RunId, StepId};
use stepwell_run::event::{Event, StepEvent, StepEventKind};
use stepwell_run::provenance::{
    CheckpointRecord, Decision, Input, Node, Provenance, inputs, kind_version, seeds, split_fingerprint,
};
use stepwell_store::{Reader, Reference, ReferenceHolder};

use super::error::MaintenanceError;

/// Builds the manifest of one output of a step.
///
/// # Errors
/// When the state does not know how the artifact was made.
pub fn provenance(reader: &Reader, artifacts: &ArtifactStore, of: &Reference) -> Result<Provenance, MaintenanceError> {
    let ReferenceHolder::Output(output) = &of.holder else {
        return Err(MaintenanceError::NoProvenance {
            what: of.to_string(),
            reason: "only outputs have one".to_owned(),
        });
    };
    let mut walk = Walk { reader, nodes: Vec::new(), known: BTreeMap::new(), open: BTreeSet::new() };
    walk.visit(of.run, &of.step)?;
    let nodes = walk.nodes;
    let mut environments = BTreeMap::new();
    for digest in nodes.iter().flat_map(|node| &node.attempts).filter_map(|attempt| attempt.environment.as_ref()) {
        if let (false, Some(body)) = (environments.contains_key(digest), reader.environment(digest)?) {
            environments.insert(digest.clone(), body);
        }
    }
    let mut manifest = Provenance {
        version: Provenance::version_of(&nodes),
        written_by: format!("stepwell {} ({})", env!("CARGO_PKG_VERSION"), env!("STEPWELL_CODE")),
        artifact: of.artifact.clone(),
        output: output.clone(),
        trees: trees(artifacts, &of.artifact)?,
        decisions: decisions(reader, &nodes)?,
        nodes,
        environments,
        digest: String::new(),
    };
    manifest.digest = manifest.own_digest();
    Ok(manifest)
}

fn trees(
    artifacts: &ArtifactStore,
    artifact: &ArtifactRef,
) -> Result<BTreeMap<Digest, BTreeMap<String, ArtifactRef>>, MaintenanceError> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![artifact.clone()];
    while let Some(tree) = waiting.pop() {
        if tree.is_tree() && !found.contains_key(&tree.digest) {
            let entries = artifacts.read_tree(&tree)?.entries;
            waiting.extend(entries.values().cloned());
            found.insert(tree.digest, entries);
        }
    }
    Ok(found)
}

/// Returns the decisions of all contributing runs, in log order.
fn decisions(reader: &Reader, nodes: &[Node]) -> Result<Vec<Decision>, MaintenanceError> {
    let runs: BTreeSet<RunId> = nodes.iter().flat_map(|node| [node.run, node.executed_in]).collect();
    let mut decisions = Vec::new();
    for run in runs {
        let rows = reader.decisions(run)?.into_iter();
        decisions.extend(rows.map(|row| Decision { run, step: row.step, at: row.at, ruling: row.ruling }));
    }
    Ok(decisions)
}

struct Walk<'a> {
    reader: &'a Reader,
    nodes: Vec<Node>,
    known: BTreeMap<(RunId, StepId), usize>,
    /// Steps on the path from the artifact to here: a step cannot read its own output.
    open: BTreeSet<(RunId, StepId)>,
}

impl Walk<'_> {
    /// Adds a step after everything that it reads, and returns its index.
    fn visit(&mut self, run: RunId, step: &StepId) -> Result<usize, MaintenanceError> {
        let id = (run, step.clone());
        if let Some(&index) = self.known.get(&id) {
            return Ok(index);
        }
        let row = self.reader.step(run, step)?;
        let unknown = |reason: &str| MaintenanceError::NoProvenance {
            what: format!("step `{step}` of run {run}"),
            reason: reason.to_owned(),
        };
        let (Some(key), Some(recorded)) = (row.key, row.with) else {
            return Err(unknown("its arguments are not recorded"));
        };
        let (with, fingerprint) = split_fingerprint(&recorded);
        let version = kind_version(&row.kind, &with, &fingerprint, &key).ok_or_else(|| {
            unknown("its recorded arguments do not give its key; `stepwell db check` looks for damage")
        })?;
        self.open.insert(id.clone());
        let mut read = Vec::new();
        for digest in inputs(&with) {
            let producer = match self.producer(run, &digest)? {
                Some((run, step)) => Some(self.visit(run, &step)?),
                None => None,
            };
            read.push(Input { digest, producer });
        }
        self.open.remove(&id);
        let (executed_in, executed_as) = self.origin(run, step)?;
        let run_row = self.reader.run(run)?;
        self.nodes.push(Node {
            run,
            workflow: run_row.workflow,
            spec_digest: run_row.spec_digest,
            step: step.clone(),
            attempts: self.reader.attempts(executed_in, &executed_as)?,
            checkpoints: self.checkpoints(executed_in, &executed_as)?,
            git: self.reader.run(executed_in)?.options.project.and_then(|project| project.git),
            executed_in,
            executed_as,
            kind: row.kind,
            kind_version: version,
            key,
            seeds: seeds(&with),
            with,
            fingerprint,
            inputs: read,
            outputs: row.outputs.unwrap_or_default().artifacts,
        });
        let index = self.nodes.len() - 1;
        self.known.insert(id, index);
        Ok(index)
    }

    /// Finds the step that made the content. Prefers a step of the same run.
    fn producer(&self, run: RunId, digest: &Digest) -> Result<Option<(RunId, StepId)>, MaintenanceError> {
        let made = self.reader.producers(digest)?.into_iter().filter(|id| !self.open.contains(id));
        Ok(made.min_by_key(|(of, _)| *of != run))
    }

    /// Finds the step that made the outputs of a reused step, as far as it is known.
    fn origin(&self, run: RunId, step: &StepId) -> Result<(RunId, StepId), MaintenanceError> {
        let mut row = self.reader.step(run, step)?;
        let mut origin = (run, step.clone());
        let Some(key) = row.key.clone() else { return Ok(origin) };
        while let Some(from) = row.reused_from {
            origin.0 = from;
            // The step may have another name there.
            let Some(other) = self.reader.step_with_key(from, &key)? else { break };
            row = self.reader.step(from, &other)?;
            origin.1 = other;
        }
        Ok(origin)
    }

    fn checkpoints(&self, run: RunId, step: &StepId) -> Result<Vec<CheckpointRecord>, MaintenanceError> {
        let mut found = Vec::new();
        for row in self.reader.checkpoint_events(run, step)? {
            let Event::Step(StepEvent {
                kind:
                    StepEventKind::CheckpointCommitted { checkpoint } | StepEventKind::CheckpointAdopted { checkpoint, .. },
                ..
            }) = row.event
            else {
                continue;
            };
            found.push(CheckpointRecord {
                event: row.seq,
                last_step: checkpoint.last_step,
                tokens_so_far: checkpoint.tokens_so_far,
                loss: checkpoint.loss,
                digest: checkpoint.artifact.map(|artifact| artifact.digest),
            });
        }
        Ok(found)
    }
}
