//! What a run is and how it stands, one line each.

use jiff::SignedDuration;

use crate::view::annotation::tag_list;
use crate::view::failures::{MOST_FAILURES, failure_text};
use crate::view::work_time;
use stepwell_run::status::RunStatus;
use stepwell_store::{Annotation, RunRow, StepRow};

/// Width of the names of lines; those of `Effort::lines` are as wide.
const WIDTH: usize = 10;

pub(super) struct Heading<'a> {
    pub(super) run: &'a RunRow,
    pub(super) origin: Option<String>,
    pub(super) time: Option<SignedDuration>,
    pub(super) failed: &'a [StepRow],
    pub(super) annotation: &'a Annotation,
}

impl Heading<'_> {
    pub(super) fn text(&self) -> String {
        let run = self.run;
        let mut lines =
            vec![("run", run.id.to_string()), ("name", run.name.clone()), ("workflow", run.workflow.clone())];
        lines.extend(self.origin.clone().map(|origin| ("origin", origin)));
        lines.extend(run.options.project.as_ref().map(|project| ("project", project.line())));
        let Annotation { tags, note, kept_at } = self.annotation;
        lines.extend((!tags.is_empty()).then(|| ("tags", tag_list(self.annotation))));
        lines.extend(note.as_ref().map(|note| ("note", note.as_str().to_owned())));
        lines.push(("status", run.status.as_str().to_owned()));
        let paused = run.pause_reason.clone().filter(|_| run.status == RunStatus::Paused);
        lines.extend(paused.map(|reason| ("paused", reason)));
        lines.push(("elapsed", work_time::text(self.time)));
        lines.extend(kept_at.map(|at| ("kept", format!("since {}: `gc` leaves it", at.strftime("%Y-%m-%d")))));
        lines.extend(run.pruned_at.map(|at| ("removed", format!("{at}: only its history is left"))));
        lines.into_iter().map(|(name, text)| line(name, &text)).collect::<String>() + &failures(self.failed)
    }
}

/// A line such as `status    failed`; further lines of the text are indented.
pub(super) fn line(name: &str, text: &str) -> String {
    format!("{name:<WIDTH$}{}\n", text.replace('\n', &format!("\n{:WIDTH$}", "")))
}

/// Lists every failed step with its full message, which does not fit in the table of steps.
fn failures(failed: &[StepRow]) -> String {
    let mut text = String::new();
    for step in failed.iter().take(MOST_FAILURES) {
        let Some(told) = failure_text(step) else { continue };
        text.push_str(&line("failure", &told));
        let hint = step.failure.as_ref().and_then(|failure| failure.hint.as_ref());
        text.extend(hint.map(|hint| line("hint", hint)));
    }
    match failed.len().saturating_sub(MOST_FAILURES) {
        0 => text,
        more => text + &line("", &format!("and {more} more")),
    }
}
