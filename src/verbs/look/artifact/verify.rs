//! `stepwell artifact verify [RUN]`

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::provenance::compare;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_artifact::{ArtifactError, ArtifactStore};
use stepwell_base::shell::quote;
use stepwell_store::{Reference, ReferenceHolder};

/// Read every byte of the outputs and checkpoints of a run, or of all runs, and compare digests
///
/// Exits with 3 if something is damaged, and says how to repair it.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// Id, unique prefix of an id, name, or `last` [default: all runs]
    #[arg(value_name = "RUN", conflicts_with = "provenance")]
    pub run: Option<String>,
    /// Compare a copy with its provenance manifest; needs no state directory
    #[arg(long, num_args = 2, value_names = ["FILE", "PATH"])]
    pub provenance: Option<Vec<PathBuf>>,
}

pub fn verify(session: &Session, args: &VerifyArgs) -> Result<Exit, CliError> {
    match &args.provenance {
        Some(paths) => compare(session, paths),
        None => verify_stored(session, args.run.as_deref()),
    }
}

/// Reads every byte of the content that outputs and checkpoints refer to.
fn verify_stored(session: &Session, selector: Option<&str>) -> Result<Exit, CliError> {
    let (reader, run) = match selector {
        Some(selector) => session.find_kept_run(selector).map(|(reader, run)| (reader, Some(run)))?,
        None => (session.reader()?, None),
    };
    let store = session.artifacts()?;
    let references = reader.references(run)?;
    let mut human = String::new();
    let mut damaged = Vec::new();
    for reference in &references {
        for error in problems(&store, reference) {
            let advice = session.out.pasteable(&advice(reference, &error));
            human.push_str(&format!("{reference}: {}\n  hint: {advice}\n", error.what()));
            damaged.push(describe(reference, &error, &advice));
        }
    }
    if damaged.is_empty() {
        let outputs = references.iter().filter(|found| matches!(found.holder, ReferenceHolder::Output(_))).count();
        human = format!("{outputs} artifacts and {} checkpoints are intact", references.len() - outputs);
    }
    session.out.document(&human, json!({ "checked": references.len(), "damaged": damaged }))?;
    Ok(if damaged.is_empty() { Exit::Ok } else { Exit::Failed })
}

/// Problems of an artifact; for a tree, also those of each file in it.
fn problems(store: &ArtifactStore, reference: &Reference) -> Vec<ArtifactError> {
    let mut problems = Vec::new();
    let mut waiting = vec![reference.artifact.clone()];
    while let Some(artifact) = waiting.pop() {
        match store.verified_path(&artifact) {
            Err(error) => problems.push(error),
            Ok(_) if artifact.is_tree() => match store.read_tree(&artifact) {
                Ok(tree) => waiting.extend(tree.entries.into_values()),
                Err(error) => problems.push(error),
            },
            Ok(_) => {}
        }
    }
    problems
}

fn advice(reference: &Reference, error: &ArtifactError) -> String {
    let Reference { run, step, holder, .. } = reference;
    let path = match error {
        ArtifactError::Damaged { path, .. } => format!("remove it with `rm {}`", quote(path)),
        ArtifactError::Missing { .. } => "leave it".to_owned(),
        other => return other.hint(),
    };
    let restore = "put it back with `stepwell db restore BACKUP`, a backup with `--artifacts`";
    match holder {
        ReferenceHolder::Output(_) => {
            format!("{restore}, or {path} and run the workflow again: step `{step}` of run {run} is then not reused")
        }
        ReferenceHolder::Checkpoint { .. } => {
            format!("{restore}, or {path}: step `{step}` resumes from the checkpoint before")
        }
    }
}

fn describe(reference: &Reference, error: &ArtifactError, advice: &str) -> Value {
    let Reference { run, step, holder, artifact } = reference;
    let (output, checkpoint) = match holder {
        ReferenceHolder::Output(name) => (Some(name), None),
        ReferenceHolder::Checkpoint { seq, last_step } => (None, Some(json!({ "event": seq, "last_step": last_step }))),
    };
    json!({
        "run": run,
        "step": step,
        "output": output,
        "checkpoint": checkpoint,
        "artifact": artifact.digest,
        "problem": error.what(),
        "hint": advice,
    })
}
