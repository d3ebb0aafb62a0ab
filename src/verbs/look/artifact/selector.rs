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
    if let (Some(run), Some((step, name))) = (run, split_step(rest)) {
        return by_name(reader, run, step, name);
    }
    let newest = reader.resolve_run("last")?;
    let (step, name) = split_step(selector).unwrap_or((first, rest));
    match (by_name(reader, newest, step, name), name.contains('/')) {
        (Err(_), true) => Err(StoreError::UnknownRun { text: first.to_owned() }.into()),
        (found, _) => found,
    }
}

/// Splits STEP/NAME; the item in the brackets of a step may contain slashes.
fn split_step(text: &str) -> Option<(&str, &str)> {
    let slash = text.find('/')?;
    let bracket = text.find('[').filter(|bracket| *bracket < slash);
    let end = bracket.and_then(|_| text.find("]/").map(|end| end + 1));
    let at = end.unwrap_or(slash);
    Some((&text[..at], &text[at + 1..]))
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
    let id = match reader.resolve_step(run, step) {
        Err(StoreError::UnknownStep { .. }) => step.to_owned(),
        found => found?.0,
    };
    reader.output(run, &id, name)?.ok_or_else(|| {
        let list = shell::stepwell("artifact ls", [&*run.to_string()]);
        CliError::not_found(format!("run {run} has no artifact `{step}/{name}`"))
            .hint(format!("{list} lists those it has"))
    })
}

#[cfg(test)]
mod tests {
    use super::split_step;

    #[test]
    fn a_step_ends_at_its_slash_or_bracket() {
        for (text, step, name) in [
            ("a/out", "a", "out"),
            ("a/b/c", "a", "b/c"),
            ("a[1]/out", "a[1]", "out"),
            ("a[data/2.txt]/out", "a[data/2.txt]", "out"),
            ("a[x/y]/b/c[1]", "a[x/y]", "b/c[1]"),
            ("a/b[1]/c", "a", "b[1]/c"),
            ("a[x/y", "a[x", "y"),
        ] {
            assert_eq!(split_step(text), Some((step, name)), "{text}");
        }
        assert_eq!(split_step("a[1]"), None);
    }
}
