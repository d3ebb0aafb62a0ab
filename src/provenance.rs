//! `stepwell artifact provenance`, and `artifact verify --provenance` without a state directory.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::artifact::find_output;
use super::error::CliError;
use super::exit_code::Exit;
use super::session::Session;
use stepwell_artifact::{copy_differences, open_regular};
use stepwell_run::provenance::Provenance;

pub fn provenance(session: &Session, selector: &str, out: Option<&Path>) -> Result<(), CliError> {
    let reader = session.reader()?;
    let output = find_output(&reader, selector)?;
    let manifest = stepwell_engine::provenance(&reader, &session.artifacts()?, &output)?;
    let text =
        serde_json::to_string_pretty(&manifest).map_err(|error| CliError::internal("write the provenance", &error))?;
    let Some(path) = out else { return session.out.json_text(&text).map(|_| ()) };
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| {
        CliError::usage(format!("cannot create {}: {error}", path.display()))
            .hint("choose a path that does not exist: nothing is overwritten")
    })?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).and_then(|()| file.sync_all());
    written.map_err(|error| CliError::io("write", path, &error))?;
    session.out.message(&format!("wrote {}", path.display()));
    Ok(())
}

/// Compares a copy of an artifact with its manifest, and checks that the manifest is consistent.
pub fn verify(session: &Session, paths: &[PathBuf]) -> Result<Exit, CliError> {
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
