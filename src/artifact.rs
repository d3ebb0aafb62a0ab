//! `stepwell artifact ls|show|get|verify|provenance`

use serde_json::{Value, json};

use super::args::ArtifactVerb;
use super::error::CliError;
use super::exit_code::Exit;
use super::output::{bytes, table};
use super::report::handle;
use super::session::Session;
use super::{provenance, verify};
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::ids::RunId;
use stepwell_base::shell;
use stepwell_store::{Reader, Reference, StoreError};

/// Most bytes of a text artifact that `show` prints.
const PREVIEW_BYTES: u64 = 2048;
/// One match resolves a prefix; a second one proves it ambiguous.
const MOST_MATCHES: usize = 2;

pub fn artifact(session: &Session, verb: &ArtifactVerb) -> Result<Exit, CliError> {
    match verb {
        ArtifactVerb::Ls(selector) => list(session, &selector.run)?,
        ArtifactVerb::Show(selector) => show(session, &selector.artifact)?,
        ArtifactVerb::Get { artifact, dest } => {
            let found = find(session, &artifact.artifact)?;
            // A link counts as existing, even when it leads nowhere.
            if dest.symlink_metadata().is_ok() {
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
    let (reader, run) = session.find_kept_run(selector)?;
    let artifacts = reader.artifacts(Some(run))?;
    let run = handle(&reader, &reader.run(run)?);
    let rows = artifacts
        .iter()
        .map(|(step, name, artifact)| {
            vec![
                format!("{run}/{step}/{name}"),
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
    let (mut entries, mut content) = (Vec::new(), None);
    if artifact.is_tree() {
        let tree = store.read_tree(&artifact)?;
        let rows = tree
            .entries
            .iter()
            .map(|(path, entry)| vec![path.clone(), entry.digest.as_str()[..16].to_owned(), bytes(entry.size)]);
        text.push_str(&format!("\n{}", table(&["path", "digest", "size"], rows.collect())));
        entries.extend(tree.entries.iter().map(|(path, entry)| json!({ "path": path, "artifact": entry })));
    } else {
        let start = store.read_start(&artifact, PREVIEW_BYTES)?;
        content = preview(&start, artifact.size > PREVIEW_BYTES).map(str::to_owned);
        text.push_str(&format!("\n{}", content.as_deref().unwrap_or("(binary)")));
        if let Some(left_out) = content.as_ref().map(|content| artifact.size - content.len() as u64).filter(|n| *n > 0)
        {
            let get = shell::stepwell("artifact get", [artifact.digest.as_str(), "FILE"]);
            text.push_str(&session.out.pasteable(&format!("\n[{left_out} more bytes: {get} copies all]")));
        }
    }
    let complete = artifact.is_tree() || content.as_ref().is_some_and(|content| content.len() as u64 == artifact.size);
    let fields = json!({ "artifact": artifact, "entries": entries, "content": content, "complete": complete });
    session.out.document(&text, fields)
}

/// Returns the text at the start of an artifact; `None` for binary content. If `cut`, drops a last character that is
/// incomplete.
fn preview(start: &[u8], cut: bool) -> Option<&str> {
    let text = match std::str::from_utf8(start) {
        Ok(text) => Some(text),
        Err(error) if cut && error.error_len().is_none() => std::str::from_utf8(&start[..error.valid_up_to()]).ok(),
        Err(_) => None,
    };
    text.filter(|text| !text.contains('\0'))
}

fn find(session: &Session, selector: &str) -> Result<ArtifactRef, CliError> {
    Ok(find_output(&session.reader()?, selector)?.artifact)
}

/// Finds an output by digest, unique prefix, RUN/STEP/NAME, or STEP/NAME of the newest run.
pub(super) fn find_output(reader: &Reader, selector: &str) -> Result<Reference, CliError> {
    let Some((first, rest)) = selector.split_once('/') else { return by_digest(reader, selector) };
    let run = match reader.resolve_run(first) {
        Err(StoreError::UnknownRun { .. }) => None,
        found => Some(found?),
    };
    if let (Some(run), Some((step, name))) = (run, rest.split_once('/')) {
        return by_name(reader, run, step, name);
    }
    let newest = reader.resolve_run("last")?;
    match (by_name(reader, newest, first, rest), rest.contains('/')) {
        (Err(_), true) => Err(StoreError::UnknownRun { text: first.to_owned() }.into()),
        (found, _) => found,
    }
}

fn by_digest(reader: &Reader, selector: &str) -> Result<Reference, CliError> {
    let hexadecimal = !selector.is_empty() && selector.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut matches = if hexadecimal { reader.outputs_like(selector, MOST_MATCHES)? } else { Vec::new() };
    match matches.len() {
        1 => Ok(matches.remove(0)),
        0 => Err(CliError::not_found(format!("no artifact has a digest that starts with `{selector}`"))
            .hint("`stepwell artifact ls` lists the artifacts of the newest run, with the names that this takes")),
        _ => Err(CliError::usage(format!("several artifacts have a digest that starts with `{selector}`"))
            .hint("give more digits")),
    }
}

fn by_name(reader: &Reader, run: RunId, step: &str, name: &str) -> Result<Reference, CliError> {
    if let Some(at) = reader.run(run)?.pruned_at {
        return Err(StoreError::Pruned { run, at }.into());
    }
    reader.output(run, step, name)?.ok_or_else(|| {
        let list = shell::stepwell("artifact ls", [&*run.to_string()]);
        CliError::not_found(format!("run {run} has no artifact `{step}/{name}`"))
            .hint(format!("{list} lists those it has"))
    })
}

#[cfg(test)]
mod tests {
    use super::preview;

    #[test]
    fn a_character_that_the_preview_cuts_is_left_out() {
        let text = "näh".as_bytes();
        assert_eq!(preview(&text[..2], true), Some("n"));
        assert_eq!(preview(text, false), Some("näh"));
        assert_eq!(preview(&text[..2], false), None, "the artifact itself ends in half a character");
        assert_eq!(preview(b"a\xff\xffb", true), None);
        assert_eq!(preview(b"PK\0\0", true), None);
    }
}
