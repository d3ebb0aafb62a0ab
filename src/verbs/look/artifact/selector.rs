//! Finds the artifact that an argument names.

use clap::Args;

use crate::error::CliError;
use crate::session::Session;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::ids::RunId;
use stepwell_base::shell;
use stepwell_store::{Reader, Reference, StoreError};

/// One match resolves a prefix; a second one proves it ambiguous.
const MOST_MATCHES: usize = 2;

#[derive(Args, Debug)]
pub struct ArtifactSelector {
    /// A digest, a unique prefix of one, RUN/STEP/NAME, or STEP/NAME of the newest run
    #[arg(value_name = "ARTIFACT")]
    pub artifact: String,
}

/// Finds an artifact in the state directory of the session.
pub fn find(session: &Session, selector: &ArtifactSelector) -> Result<ArtifactRef, CliError> {
    Ok(find_output(&session.reader()?, &selector.artifact)?.artifact)
}

/// Finds an output by digest, unique prefix, RUN/STEP/NAME, or STEP/NAME of the newest run.
pub fn find_output(reader: &Reader, selector: &str) -> Result<Reference, CliError> {
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
