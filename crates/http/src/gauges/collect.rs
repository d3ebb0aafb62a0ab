//! The numbers of a state directory and of its server.

use std::collections::HashMap;

use stepwell_artifact::free_bytes;
use stepwell_base::ids::RunId;
use stepwell_base::protocol::Measurement;
use stepwell_run::status::RunStatus;
use stepwell_store::{DATABASE_FILE, Reader, RunRow, StepTotals};

use super::family::{Family, Numbers, Sample};
use crate::desk::EngineView;
use crate::problem::Problem;

/// Unfinished runs with numbers of their own. Names of runs are a label, so their number is bounded.
const MOST_RUNS: usize = 20;
/// Metrics of a training, and the name that monitoring has for them.
pub const OF_TRAININGS: [(&str, &str, &str); 7] = [
    ("loss", "stepwell_run_loss", "Newest training loss of an unfinished run."),
    ("val_loss", "stepwell_run_validation_loss", "Newest validation loss of an unfinished run."),
    ("learning_rate", "stepwell_run_learning_rate", "Newest learning rate of an unfinished run."),
    ("grad_norm", "stepwell_run_gradient_norm", "Newest gradient norm of an unfinished run."),
    ("tokens_per_second", "stepwell_run_tokens_per_second", "Newest speed of a training of an unfinished run."),
    ("mfu", "stepwell_run_model_flops_utilization_ratio", "Share of the peak of the machine that a training uses."),
    ("memory_bytes", "stepwell_run_memory_bytes", "Newest memory of the training of an unfinished run."),
];

/// What is not in the database.
#[derive(Clone, Debug)]
pub struct Machine {
    pub engine: EngineView,
    /// When the server started, in seconds since 1970.
    pub started_at: f64,
    /// Open streams of events.
    pub listeners: usize,
}

/// The snapshot without the traffic of the server.
///
/// # Errors
/// When the database cannot be read.
pub fn collect(reader: &Reader, machine: &Machine) -> Result<Vec<Family>, Problem> {
    let is_here = f64::from(u8::from(machine.engine == EngineView::Here));
    let is_anywhere = f64::from(u8::from(!matches!(machine.engine, EngineView::Nobody(_))));
    let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
    let build = vec![Sample { labels: version, value: 1.0 }];
    let mut families = vec![
        Family::gauges("stepwell_build_info", "The build of the server.", build),
        Family::gauge(
            "stepwell_server_start_timestamp_seconds",
            "When the server started, in seconds since 1970.",
            machine.started_at,
        ),
        Family::gauge(
            "stepwell_engine_active",
            "1 while a process drives the runs of the state directory.",
            is_anywhere,
        ),
        Family::gauge("stepwell_engine_here", "1 while that process is the server itself.", is_here),
        Family::gauge("stepwell_http_event_streams", "Open streams of events.", machine.listeners as f64),
        Family::counter("stepwell_events", "Events of all runs so far.", reader.newest_event()? as f64),
        Family::gauges("stepwell_runs", "Runs that were not removed, by status.", runs_by_status(reader)?),
        Family::gauge("stepwell_steps_running", "Steps that run now.", reader.all_running_steps()?.len() as f64),
    ];
    let database = std::fs::metadata(reader.state_dir().join(DATABASE_FILE));
    if let Ok(found) = database {
        families.push(Family::gauge("stepwell_database_bytes", "Size of the state database.", found.len() as f64));
    }
    if let Ok(free) = free_bytes(reader.state_dir()) {
        families.push(Family::gauge("stepwell_disk_free_bytes", "Free space for the state directory.", free as f64));
    }
    families.extend(unfinished_runs(reader)?);
    Ok(families)
}

fn runs_by_status(reader: &Reader) -> Result<Vec<Sample>, Problem> {
    let counted = reader.runs_by_status()?;
    let count = |status: RunStatus| counted.iter().find(|(found, _)| *found == status).map_or(0, |(_, count)| *count);
    let sample = |status: RunStatus| Sample {
        labels: vec![("status", status.as_str().to_owned())],
        value: count(status) as f64,
    };
    Ok(RunStatus::ALL.into_iter().map(sample).collect())
}

fn unfinished_runs(reader: &Reader) -> Result<Vec<Family>, Problem> {
    let runs: Vec<RunRow> = reader.open_runs()?.readable.into_iter().take(MOST_RUNS).collect();
    let ids: Vec<RunId> = runs.iter().map(|run| run.id).collect();
    let totals: HashMap<RunId, StepTotals> = reader.step_totals(&ids)?.into_iter().collect();
    let mut progress = Vec::new();
    let mut of_trainings: Vec<Vec<Sample>> = OF_TRAININGS.iter().map(|_| Vec::new()).collect();
    for run in &runs {
        let labels = vec![("id", run.id.to_string()), ("run", run.name.clone())];
        if let Some(totals) = totals.get(&run.id).filter(|totals| totals.total > 0) {
            progress.push(Sample { labels: labels.clone(), value: totals.done as f64 / totals.total as f64 });
        }
        let newest = newest_measurement(reader, run)?;
        for ((name, ..), samples) in OF_TRAININGS.iter().zip(&mut of_trainings) {
            if let Some(value) = newest.as_ref().and_then(|newest| newest.values.get(*name)) {
                samples.push(Sample { labels: labels.clone(), value: *value });
            }
        }
    }
    let mut families = vec![Family::gauges(
        "stepwell_run_progress_ratio",
        "Share of the steps of an unfinished run that are done.",
        progress,
    )];
    let named =
        OF_TRAININGS.iter().zip(of_trainings).map(|((_, name, help), samples)| Family::gauges(name, help, samples));
    families.extend(named);
    families.retain(|family| !matches!(&family.numbers, Numbers::Gauge(samples) if samples.is_empty()));
    Ok(families)
}

/// The newest row of the first running step that has one.
fn newest_measurement(reader: &Reader, run: &RunRow) -> Result<Option<Measurement>, Problem> {
    for step in reader.running_steps(run.id)?.iter().take(MOST_RUNS) {
        if let Some(newest) = reader.newest_measurement(run.id, &step.id)? {
            return Ok(Some(newest));
        }
    }
    Ok(None)
}
