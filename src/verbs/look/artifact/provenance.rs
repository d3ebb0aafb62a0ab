//! `stepwell artifact provenance`, and `artifact verify --provenance` without a state directory.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::selector::{ArtifactSelector, find_output};
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_artifact::{copy_differences, open_regular};
use stepwell_run::provenance::Provenance;

/// Print the origin of an artifact: steps, arguments, inputs back to the imports, environments
///
/// `artifact verify --provenance FILE PATH` compares a copy with it, even on another machine.
#[derive(Args, Debug)]
pub struct ProvenanceArgs {
    #[command(flatten)]
    pub selector: ArtifactSelector,
    /// Write the manifest to a new file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

pub fn provenance(session: &Session, args: &ProvenanceArgs) -> Result<Exit, CliError> {
    let reader = session.reader()?;
    let output = find_output(&reader, &args.selector.artifact)?;
    let manifest = stepwell_engine::provenance(&reader, &session.artifacts()?, &output)?;
    let text =
        serde_json::to_string_pretty(&manifest).map_err(|error| CliError::internal("write the provenance", error))?;
    let Some(path) = &args.out else {
        session.out.json_text(&text)?;
        return Ok(Exit::Ok);
    };
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| {
        CliError::usage(format!("cannot create {}: {error}", path.display()))
            .hint("choose a path that does not exist: nothing is overwritten")
    })?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).and_then(|()| file.sync_all());
    written.map_err(|error| CliError::io("write", path, error))?;
    session.out.message(&format!("wrote {}", path.display()));
    Ok(Exit::Ok)
}

/// Compares a copy of an artifact with its manifest, and checks that the manifest is consistent.
pub fn compare(session: &Session, paths: &[PathBuf]) -> Result<Exit, CliError> {
    let [file, copy] = paths else { return Err(CliError::usage("--provenance takes FILE and PATH")) };
    let manifest = read(file)?;
    let mut problems = manifest.problems();
    problems.extend(copy_differences(copy, &manifest.artifact, &manifest.trees)?);
    let human = match problems.as_slice() {
        [] => format!(
            "{} is artifact {}, made by {} steps whose keys and inputs fit together",
            copy.display(),
            manifest.artifact.digest,
            manifest.nodes.len()
        ),
        problems => problems.join("\n"),
    };
    let value = json!({ "intact": problems.is_empty(), "problems": problems, "artifact": manifest.artifact });
    session.out.document(&human, value)?;
    Ok(if problems.is_empty() { Exit::Ok } else { Exit::Failed })
}

fn read(path: &Path) -> Result<Provenance, CliError> {
    let refuse = |reason: String| {
        CliError::usage(format!("`{}` is no provenance manifest: {reason}", path.display()))
            .hint("`stepwell artifact provenance ARTIFACT --out FILE` writes one")
    };
    let mut text = Vec::new();
    let mut file = open_regular(path).map_err(|error| refuse(error.to_string()))?;
    file.read_to_end(&mut text).map_err(|error| refuse(error.to_string()))?;
    Provenance::read(&text).map_err(refuse)
}
