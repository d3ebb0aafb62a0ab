//! Finds the artifact that an argument names.

#[cfg(test)]
mod tests;

use clap::Args;

use crate::error::CliError;
use crate::session::Session;
use crate::view::run_handle::handle;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::{shell, suggest};
use stepwell_store::{Reader, Reference, StoreError};

/// One match resolves a prefix; a second one proves it ambiguous.
const MOST_MATCHES: usize = 2;
/// Most outputs that a hint names.
const MOST_NAMED: usize = 8;

#[derive(Args, Debug)]
pub struct ArtifactSelector {
    /// A digest, a unique prefix of one, RUN/STEP/NAME, or STEP/NAME of the newest run; RUN or RUN/STEP if it has only
    /// one output
    #[arg(value_name = "ARTIFACT")]
    pub artifact: String,
}

/// Finds an artifact in the state directory of the session.
pub fn find(session: &Session, selector: &ArtifactSelector) -> Result<ArtifactRef, CliError> {
    Ok(find_output(&session.reader()?, &selector.artifact)?.artifact)
}

/// Finds an output by digest, unique prefix, RUN/STEP/NAME, or STEP/NAME of the newest run. Takes the form that
/// templates and `show` have, `STEP.outputs.NAME` and `STEP.NAME`, too.
pub fn find_output(reader: &Reader, selector: &str) -> Result<Reference, CliError> {
    let (first, rest) = match selector.split_once('/') {
        Some((first, rest)) => (first, Some(rest)),
        None => (selector, None),
    };
    let run = match reader.resolve_run(first) {
        Err(StoreError::UnknownRun { .. }) => None,
        found => Some(found?),
    };
    match (run, rest.map(|rest| (rest, split_step(rest)))) {
        (Some(run), Some((_, Some((step, name))))) => return by_name(reader, run, step, name),
        // The name of a run is no digest, and its step may be an output of the newest run.
        (Some(run), Some((step, None))) if reader.resolve_step(run, step).is_ok() => {
            return only(reader, run, Some(step));
        }
        (Some(run), None) if !is_digest(selector) => return only(reader, run, None),
        _ => {}
    }
    let Some((step, name)) = split_step(selector) else {
        return by_digest(reader, selector).or_else(|error| match run {
            Some(run) => only(reader, run, None),
            None => Err(error),
        });
    };
    let newest = reader.resolve_run("last")?;
    match (by_name(reader, newest, step, name), name.contains('/')) {
        (Err(_), true) => Err(StoreError::UnknownRun { text: first.to_owned() }.into()),
        (found, _) => found,
    }
}

/// Splits STEP/NAME or STEP.NAME; the item in the brackets of a step may contain slashes and dots.
fn split_step(text: &str) -> Option<(&str, &str)> {
    let separator = text.find('/').or_else(|| text.find('.'))?;
    let bracket = text.find('[').filter(|bracket| *bracket < separator);
    let end = bracket.and_then(|_| text.find("]/").or_else(|| text.find("].")).map(|end| end + 1));
    let at = match (end, bracket) {
        (Some(end), _) => end,
        (None, Some(_)) if text.ends_with(']') => return None,
        (None, _) => separator,
    };
    let (step, name) = (&text[..at], &text[at + 1..]);
    Some((step, if text[at..].starts_with('.') { name.strip_prefix("outputs.").unwrap_or(name) } else { name }))
}

fn is_digest(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn by_digest(reader: &Reader, selector: &str) -> Result<Reference, CliError> {
    let mut matches = if is_digest(selector) { reader.outputs_like(selector, MOST_MATCHES)? } else { Vec::new() };
    match matches.len() {
        1 => Ok(matches.remove(0)),
        0 => Err(CliError::not_found(format!("no artifact has a digest that starts with `{selector}`"))
            .hint("`stepwell artifact ls` lists the artifacts of the newest run, with the names that this takes")),
        _ => Err(CliError::usage(format!("several artifacts have a digest that starts with `{selector}`"))
            .hint("give more digits")),
    }
}

fn by_name(reader: &Reader, run: RunId, step: &str, name: &str) -> Result<Reference, CliError> {
    not_pruned(reader, run)?;
    let id = match reader.resolve_step(run, step) {
        Err(StoreError::UnknownStep { .. }) => step.to_owned(),
        found => found?.0,
    };
    match reader.output(run, &id, name)? {
        Some(found) => Ok(found),
        None => Err(CliError::not_found(format!("run {run} has no artifact `{step}/{name}`")).hint(known(
            reader,
            run,
            &format!("{id}/{name}"),
            |_| true,
        )?)),
    }
}

/// Finds the only output of a run, or of one of its steps.
fn only(reader: &Reader, run: RunId, step: Option<&str>) -> Result<Reference, CliError> {
    not_pruned(reader, run)?;
    let step = step.map(|step| reader.resolve_step(run, step)).transpose()?;
    let is_part = |id: &StepId| step.as_ref().is_none_or(|step| id == step);
    let outputs = reader.artifacts(Some(run))?;
    let mut own = outputs.iter().filter(|(id, ..)| is_part(id));
    let what = step.as_ref().map_or_else(String::new, |step| format!(", step `{step}`"));
    match (own.next(), own.count()) {
        (Some((id, name, _)), 0) => by_name(reader, run, id.as_str(), name),
        (Some(_), more) => {
            Err(CliError::usage(format!("run {run}{what} has {} outputs", more + 1))
                .hint(known(reader, run, "", is_part)?))
        }
        (None, _) => {
            Err(CliError::not_found(format!("run {run}{what} has no outputs")).hint(known(reader, run, "", |_| true)?))
        }
    }
}

fn not_pruned(reader: &Reader, run: RunId) -> Result<(), StoreError> {
    match reader.run(run)?.pruned_at {
        Some(at) => Err(StoreError::Pruned { run, at }),
        None => Ok(()),
    }
}

/// Names the outputs of the wanted steps, or the one that `wrong` resembles.
fn known(reader: &Reader, run: RunId, wrong: &str, is_wanted: impl Fn(&StepId) -> bool) -> Result<String, CliError> {
    let outputs = reader.artifacts(Some(run))?;
    let run = handle(reader, &reader.run(run)?);
    let names: Vec<String> =
        outputs.iter().filter(|(step, ..)| is_wanted(step)).map(|(step, name, _)| format!("{step}/{name}")).collect();
    let full = |name: &str| format!("`{}`", shell::quote(format!("{run}/{name}")));
    let list = shell::stepwell("artifact ls", [&*run]);
    if let Some(meant) = suggest::nearest(wrong, names.iter().map(String::as_str)) {
        return Ok(format!("did you mean {}? {list} lists all", full(meant)));
    }
    let shown: Vec<String> = names.iter().take(MOST_NAMED).map(|name| full(name)).collect();
    Ok(match (shown.is_empty(), names.len() > MOST_NAMED) {
        (true, _) => format!("no step of it has given one yet: {} shows its steps", shell::stepwell("show", [&*run])),
        (false, false) => format!("there are {}", shown.join(", ")),
        (false, true) => {
            format!("there are {} and {} more: {list} lists them", shown.join(", "), names.len() - MOST_NAMED)
        }
    })
}
