//! The health line: problems that a person should know of now.

use jiff::Timestamp;

use crate::problem::Problem;
use stepwell_run::health::{Finding, MachineReadings, Readings, Severity, judge};
use stepwell_run::status::RunStatus;
use stepwell_store::{Reader, RunRow};

pub struct Named {
    pub class: &'static str,
    pub title: String,
    pub text: String,
}

/// Empty for a run that does not work, and while all is well.
pub fn problems(
    reader: &Reader,
    run: &RunRow,
    machine: MachineReadings,
    now: Timestamp,
) -> Result<Vec<Named>, Problem> {
    if run.status != RunStatus::Running {
        return Ok(Vec::new());
    }
    let found = judge(&Readings { now, steps: reader.health_readings(run.id)?, machine });
    Ok(found.into_iter().map(named).collect())
}

fn named(Finding { step, problem }: Finding) -> Named {
    let class = if problem.severity() == Severity::Critical { "bad" } else { "warning" };
    let title = problem.code().replace('_', " ");
    let text = match step {
        Some(step) => format!("{step}: {problem}"),
        None => problem.to_string(),
    };
    Named { class, title, text }
}
