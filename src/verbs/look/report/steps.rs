//! The steps of each run. A fan-out is one row with counts, and the first of its items that failed.

use super::markup::Markup;
use super::subject::{Subject, section};
use crate::error::CliError;
use crate::view::value_text::cut;
use crate::view::words::{count, step_status};
use crate::view::work_time::{self, WorkClock};
use stepwell_base::ids::RunId;
use stepwell_run::item::item_name;
use stepwell_run::status::StepStatus;
use stepwell_store::StepRow;

/// Most steps of a run, and items of a fan-out that failed.
const MOST_STEPS: usize = 300;
const MOST_ITEMS: usize = 10;
const ITEM_CHARACTERS: usize = 60;

pub(super) fn write(page: &mut Markup, subject: &Subject<'_>) -> Result<(), CliError> {
    let names = subject.names();
    let mut tables = Vec::new();
    for (side, name) in subject.compared.runs.iter().zip(names) {
        tables.push((name, rows(subject, side.run.id)?));
    }
    section(page, "steps", "Steps", |section| {
        for (name, (rows, left_out)) in &tables {
            if tables.len() > 1 {
                section.element("h3", &[], name);
            }
            section.table(&["step", "kind", "status", "attempts", "time", "items"], rows);
            if *left_out > 0 {
                section.element("p", &[], &format!("and {}", count(*left_out as u64, "more step")));
            }
        }
    });
    Ok(())
}

fn rows(subject: &Subject<'_>, run: RunId) -> Result<(Vec<Vec<String>>, usize), CliError> {
    let reader = subject.reader;
    let row = reader.run(run)?;
    let clock = WorkClock::new(reader, Some(run));
    let steps = reader.overview(run, 0)?;
    let cells = |step: &StepRow, items: String| {
        let time = work_time::text(clock.of_step(step, &steps));
        let status = step_status(step, row.status).to_owned();
        vec![step.id.to_string(), step.kind.clone(), status, step.attempts.to_string(), time, items]
    };
    let mut rows = Vec::new();
    for step in steps.iter().take(MOST_STEPS) {
        let Some(children) = step.children else {
            rows.push(cells(step, String::new()));
            continue;
        };
        let by_status = reader.children_by_status(run, &step.id)?.into_iter();
        let by_status: Vec<String> = by_status.map(|(status, count)| format!("{count} {status}")).collect();
        rows.push(cells(step, format!("{}: {}", count(children.total, "item"), by_status.join(", "))));
        if children.failed > 0 {
            let failed = reader.children_to_look_at(run, &step.id, MOST_ITEMS)?;
            for child in failed.iter().filter(|child| child.status == StepStatus::Failed) {
                let item = child.item.as_ref().map(|item| cut(&item_name(item), ITEM_CHARACTERS)).unwrap_or_default();
                rows.push(cells(child, item));
            }
        }
    }
    Ok((rows, steps.len().saturating_sub(MOST_STEPS)))
}
