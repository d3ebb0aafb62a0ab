//! What makes a run reproducible: decisions, environment, Git state, and the digests of everything that came out.

use std::collections::BTreeMap;

use serde_json::Value;

use super::markup::Markup;
use super::subject::{Subject, section, time};
use crate::error::CliError;
use crate::view::output::bytes;
use crate::view::value_text::{cut, text};
use crate::view::words;
use stepwell_base::ids::RunId;

const MOST_DECISIONS: usize = 100;
const MOST_ENVIRONMENTS: usize = 5;
const MOST_ARTIFACTS: usize = 200;
const LONGEST: usize = 400;

pub(super) fn decisions(page: &mut Markup, subject: &Subject<'_>) -> Result<(), CliError> {
    let mut rows = Vec::new();
    for (run, name) in subject.ids().zip(subject.names()) {
        for row in subject.reader.decisions(run)? {
            let ruling = &row.ruling;
            rows.push(vec![
                format!("{name} {}", row.step),
                time(row.at),
                words::verdict(ruling).to_owned(),
                ruling.approver.clone().unwrap_or_else(|| "the rule".to_owned()),
                cut(&format!("{} {}", ruling.rule, text(&ruling.inputs)), LONGEST),
                ruling.comment.clone().unwrap_or_default(),
            ]);
        }
    }
    if !rows.is_empty() {
        let more = rows.len().saturating_sub(MOST_DECISIONS);
        rows.drain(..more);
        section(page, "decisions", "Decisions", |section| {
            section.table(&["step", "at", "verdict", "by", "about", "comment"], &rows);
            if more > 0 {
                section.element("p", &[], &format!("and {more} before"));
            }
        });
    }
    Ok(())
}

/// The machines and builds of all attempts, and the project of each run.
pub(super) fn environment(page: &mut Markup, subject: &Subject<'_>) -> Result<(), CliError> {
    let mut machines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (run, name) in subject.ids().zip(subject.names()) {
        for digest in environments(subject, run)? {
            let of = machines.entry(digest).or_default();
            if !of.contains(&name) {
                of.push(name.clone());
            }
        }
    }
    let mut bodies = Vec::new();
    for (digest, names) in machines.iter().take(MOST_ENVIRONMENTS) {
        if let Some(Value::Object(body)) = subject.reader.environment(digest)? {
            bodies.push((names.join(", "), body));
        }
    }
    section(page, "environment", "Environment", |section| {
        for (side, name) in subject.compared.runs.iter().zip(subject.names()) {
            let project =
                side.run.options.project.as_ref().map_or_else(|| "no project folder".to_owned(), |p| p.line());
            section.element("p", &[], &format!("{name}: {project}"));
            if let Some(git) = side.run.options.project.as_ref().and_then(|project| project.git.as_ref()) {
                section.element("p", &[("class", &"digest")], &format!("commit {}", git.commit));
            }
        }
        for (names, body) in &bodies {
            section.element("h3", &[], names);
            let rows: Vec<Vec<String>> =
                body.iter().map(|(name, value)| vec![name.replace('_', " "), cut(&text(value), LONGEST)]).collect();
            section.table(&["what", "value"], &rows);
        }
        let more = machines.len().saturating_sub(MOST_ENVIRONMENTS);
        if more > 0 {
            section.element("p", &[], &format!("and {more} more machines or builds"));
        }
    });
    Ok(())
}

/// The environments of the attempts of top-level steps.
fn environments(subject: &Subject<'_>, run: RunId) -> Result<Vec<String>, CliError> {
    let mut found = Vec::new();
    for step in subject.reader.overview(run, 0)?.iter().filter(|step| step.attempts > 0).take(MOST_ARTIFACTS) {
        let attempts = subject.reader.attempts(run, &step.id)?;
        found.extend(attempts.into_iter().filter_map(|attempt| attempt.environment));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

pub(super) fn artifacts(page: &mut Markup, subject: &Subject<'_>) -> Result<(), CliError> {
    let mut rows = Vec::new();
    for (run, name) in subject.ids().zip(subject.names()) {
        for step in subject.reader.overview(run, 0)? {
            for (output, artifact) in step.outputs.iter().flat_map(|outputs| &outputs.artifacts) {
                rows.push(vec![
                    format!("{name} {} {output}", step.id),
                    artifact.digest.to_string(),
                    bytes(artifact.size),
                    artifact.media_type.clone(),
                ]);
            }
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    let more = rows.len().saturating_sub(MOST_ARTIFACTS);
    rows.truncate(MOST_ARTIFACTS);
    section(page, "artifacts", "Artifacts", |section| {
        section.element("p", &[("class", &"quiet")], "Names of contents: BLAKE3-256 of every byte.");
        section.table(&["output", "digest", "size", "type"], &rows);
        if more > 0 {
            section.element("p", &[], &format!("and {more} more"));
        }
    });
    Ok(())
}

/// Where the rest is.
pub(super) fn notes(page: &mut Markup, subject: &Subject<'_>) {
    page.within("footer", &[], |footer| {
        for (side, name) in subject.compared.runs.iter().zip(subject.names()) {
            let text = format!("{name} is run {}; its workflow has the digest {}.", side.run.id, side.run.spec_digest);
            footer.element("p", &[("class", &"quiet digest")], &text);
        }
    });
}
