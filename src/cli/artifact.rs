//! `stepwell artifact ls|show|get|verify|provenance`

use serde_json::{Value, json};

use super::args::ArtifactVerb;
use super::error::CliError;
use super::exit_code::Exit;
use super::output::{bytes, table};
use super::session::Session;
use super::{provenance, verify};
use crate::core::artifact::ArtifactRef;
use crate::core::ids::RunId;
use crate::store::{Reader, Reference, ReferenceHolder};

/// `show` prints at most this much of a text artifact.
const PREVIEW_BYTES: usize = 2048;

pub fn artifact(session: &Session, verb: &ArtifactVerb) -> Result<Exit, CliError> {
    match verb {
        ArtifactVerb::Ls(selector) => list(session, &selector.run)?,
        ArtifactVerb::Show(selector) => show(session, &selector.artifact)?,
        ArtifactVerb::Get { artifact, dest } => {
            let found = find(session, &artifact.artifact)?;
            if dest.exists() {
                return Err(CliError::usage(format!("{} exists already", dest.display()))
                    .hint("choose a path that does not exist: nothing is overwritten"));
            }
            session.artifacts()?.materialise(&found, dest)?;
            session.out.message(&format!("wrote {}", dest.display()));
        }
        ArtifactVerb::Verify { provenance: Some(paths), .. } => return provenance::verify(session, paths),
        ArtifactVerb::Verify { run, .. } => return verify::verify(session, run.as_deref()),
        ArtifactVerb::Provenance { artifact, out } => {
            provenance::provenance(session, &artifact.artifact, out.as_deref())?;
        }
    }
    Ok(Exit::Ok)
}

fn list(session: &Session, selector: &str) -> Result<(), CliError> {
    let (reader, run) = session.find_run(selector)?;
    let artifacts = reader.artifacts(Some(run))?;
    let rows = artifacts
        .iter()
        .map(|(step, name, artifact)| {
            vec![
                format!("{step}/{name}"),
                artifact.digest.as_str()[..16].to_owned(),
                bytes(artifact.size),
                artifact.media_type.clone(),
            ]
        })
        .collect();
    let values: Vec<Value> = artifacts
        .iter()
        .map(|(step, name, artifact)| json!({ "step": step, "name": name, "artifact": artifact }))
        .collect();
    session.out.document(&table(&["artifact", "digest", "size", "type"], rows), json!({ "artifacts": values }))
}

fn show(session: &Session, selector: &str) -> Result<(), CliError> {
    let artifact = find(session, selector)?;
    let store = session.artifacts()?;
    let mut text = format!("digest  {}\nsize    {}\ntype    {}\n", artifact.digest, artifact.size, artifact.media_type);
    let mut entries = Vec::new();
    if artifact.is_tree() {
        let tree = store.read_tree(&artifact)?;
        let rows = tree
            .entries
            .iter()
            .map(|(path, entry)| vec![path.clone(), entry.digest.as_str()[..16].to_owned(), bytes(entry.size)]);
        text.push_str(&format!("\n{}", table(&["path", "digest", "size"], rows.collect())));
        entries.extend(tree.entries.iter().map(|(path, entry)| json!({ "path": path, "artifact": entry })));
    } else {
        let content = store.read(&artifact)?;
        let preview = &content[..content.len().min(PREVIEW_BYTES)];
        match std::str::from_utf8(preview) {
            Ok(preview) => text.push_str(&format!("\n{preview}")),
            Err(_) => text.push_str("\n(binary)"),
        }
    }
    session.out.document(&text, json!({ "artifact": artifact, "entries": entries }))
}

fn find(session: &Session, selector: &str) -> Result<ArtifactRef, CliError> {
    Ok(find_output(&session.reader()?, selector)?.artifact)
}

/// By digest, unique prefix of one, or RUN/STEP/NAME.
pub(super) fn find_output(reader: &Reader, selector: &str) -> Result<Reference, CliError> {
    if let [run, step, name] = selector.splitn(3, '/').collect::<Vec<_>>()[..] {
        return by_name(reader, reader.resolve_run(run)?, step, name);
    }
    let mut matches: Vec<Reference> = Vec::new();
    for found in reader.references(None)?.into_iter().filter(is_output) {
        let known = matches.iter().any(|other| other.artifact.digest == found.artifact.digest);
        if found.artifact.digest.as_str().starts_with(selector) && !known {
            matches.push(found);
        }
    }
    match matches.len() {
        1 => Ok(matches.remove(0)),
        0 => Err(CliError::not_found(format!("no artifact has a digest that begins with `{selector}`"))
            .hint("`stepwell artifact ls RUN` lists those of a run; RUN/STEP/NAME works too")),
        count => Err(CliError::usage(format!("{count} artifacts have a digest that begins with `{selector}`"))
            .hint("give more digits")),
    }
}

fn is_output(reference: &Reference) -> bool {
    matches!(reference.holder, ReferenceHolder::Output(_))
}

fn by_name(reader: &Reader, run: RunId, step: &str, name: &str) -> Result<Reference, CliError> {
    let wanted = ReferenceHolder::Output(name.to_owned());
    reader
        .references(Some(run))?
        .into_iter()
        .find(|found| found.step.as_str() == step && found.holder == wanted)
        .ok_or_else(|| {
            CliError::not_found(format!("run {run} has no artifact `{step}/{name}`"))
                .hint("`stepwell artifact ls RUN` lists them")
        })
}
