//! The beginning of a report: which runs, how they ended, and what failed.

use super::markup::Markup;
use super::subject::{Subject, section, time};
use crate::error::CliError;
use crate::verbs::look::compare::collect::Side;
use crate::view::effort::effort;
use crate::view::failures::{MOST_FAILURES, failed_steps, failure_text};
use crate::view::work_time;
use stepwell_base::shell;
use stepwell_run::status::RunStatus;

/// Most bytes of a failure message, which may quote a log.
const LONGEST_FAILURE: usize = 6 << 10;

pub(super) fn heading(page: &mut Markup, subject: &Subject<'_>) -> Result<(), CliError> {
    let runs = &subject.compared.runs;
    let names = subject.names();
    let mut rows = Vec::new();
    for (side, name) in runs.iter().zip(&names) {
        rows.push(row(subject, side, name)?);
    }
    page.within("header", &[], |header| {
        header.element("h1", &[], &names.join(", "));
        let version = env!("CARGO_PKG_VERSION");
        let about = format!("Report of {} by Stepwell {version}, {}", count(runs.len()), time(subject.now));
        header.element("p", &[("class", &"quiet")], &about);
        header.table(&["run", "id", "workflow", "status", "created (UTC)", "time", "compute", "origin"], &rows);
        for side in runs {
            if let Ok(annotation) = subject.reader.annotation(side.run.id) {
                let tags: Vec<&str> = annotation.tags.iter().map(|tag| tag.as_str()).collect();
                if !tags.is_empty() {
                    header.element("p", &[], &format!("{}: tagged {}", side.run.name, tags.join(", ")));
                }
                if let Some(note) = &annotation.note {
                    header.element("p", &[("class", &"note")], &format!("{}: {}", side.run.name, note.as_str()));
                }
            }
        }
    });
    Ok(())
}

fn row(subject: &Subject<'_>, side: &Side, name: &str) -> Result<Vec<String>, CliError> {
    let run = &side.run;
    let effort = effort(subject.reader, run, subject.session.settings.slots.value)?;
    Ok(vec![
        name.to_owned(),
        run.id.short(),
        run.workflow.clone(),
        run.status.as_str().to_owned(),
        time(run.created_at),
        work_time::text(side.elapsed),
        work_time::text(Some(effort.compute())),
        side.origin.clone().unwrap_or_default(),
    ])
}

fn count(runs: usize) -> String {
    if runs == 1 { "a run".to_owned() } else { format!("{runs} runs") }
}

/// What failed comes before everything else.
pub(super) fn failures(page: &mut Markup, subject: &Subject<'_>) -> Result<(), CliError> {
    for side in subject.compared.runs.iter().filter(|side| side.run.status == RunStatus::Failed) {
        let failed = failed_steps(subject.reader, side.run.id)?;
        let title = match failed.len() {
            0 | 1 => format!("{} failed", side.run.name),
            count => format!("{} failed: {count} steps", side.run.name),
        };
        section(page, "failed", &title, |section| {
            for step in failed.iter().take(MOST_FAILURES) {
                let text = failure_text(step).unwrap_or_else(|| format!("step `{}`", step.id));
                section.element("pre", &[("class", &"failure")], cut(&text));
                if let Some(hint) = step.failure.as_ref().and_then(|failure| failure.hint.as_ref()) {
                    section.element("p", &[], &format!("hint: {hint}"));
                }
            }
            if failed.is_empty()
                && let Some(failure) = &side.run.failure
            {
                section.element("pre", &[("class", &"failure")], cut(&failure.to_string()));
            }
            let more = failed.len().saturating_sub(MOST_FAILURES);
            if more > 0 {
                let show = shell::stepwell("show --all", [side.run.id.to_string().as_str()]);
                section.element("p", &[], &format!("and {more} more: {show} lists them"));
            }
        });
    }
    Ok(())
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST_FAILURE)]
}
