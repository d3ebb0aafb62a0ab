//! The JSON form of a batch. Its state is that of its run until it has ended.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::situation::{RunSeen, Situation};
use crate::openai::page::{Listed, seconds};
use crate::problem::Problem;
use stepwell_store::{BatchCounts, BatchEnding, BatchOutcome, BatchUsage, LineError, Reader};

/// A batch, as OpenAI's clients know it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = OpenAiBatch)]
pub struct BatchForm {
    /// `batch_` and the SHA-256 of what was asked for.
    id: String,
    /// Always `batch`.
    object: &'static str,
    endpoint: String,
    model: Option<String>,
    errors: Option<ErrorsForm>,
    input_file_id: String,
    completion_window: String,
    /// `validating`, `failed`, `in_progress`, `finalizing`, `completed`, `expired`, `cancelling` or `cancelled`.
    status: &'static str,
    output_file_id: Option<String>,
    error_file_id: Option<String>,
    created_at: i64,
    in_progress_at: Option<i64>,
    expires_at: i64,
    finalizing_at: Option<i64>,
    completed_at: Option<i64>,
    failed_at: Option<i64>,
    expired_at: Option<i64>,
    cancelling_at: Option<i64>,
    cancelled_at: Option<i64>,
    request_counts: CountsForm,
    usage: Option<UsageForm>,
    metadata: BTreeMap<String, String>,
    /// The run that answers the rows.
    stepwell_run: Option<String>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ErrorsForm {
    /// Always `list`.
    object: &'static str,
    data: Vec<LineErrorForm>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LineErrorForm {
    code: String,
    message: String,
    /// From 1; null if it concerns the whole file.
    line: Option<u64>,
    param: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct CountsForm {
    total: u64,
    completed: u64,
    failed: u64,
}

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct UsageForm {
    input_tokens: u64,
    input_tokens_details: CachedForm,
    output_tokens: u64,
    output_tokens_details: ReasoningForm,
    total_tokens: u64,
}

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct CachedForm {
    cached_tokens: u64,
}

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct ReasoningForm {
    reasoning_tokens: u64,
}

impl BatchForm {
    pub fn of(reader: &Reader, situation: &Situation) -> Result<BatchForm, Problem> {
        let Situation { batch, run, .. } = situation;
        let ending = batch.ending.as_ref();
        let counts = counts(reader, situation)?;
        let ended =
            |outcome: BatchOutcome| ending.filter(|ending| ending.outcome == outcome).map(|ending| seconds(ending.at));
        let errors = ending.map(|ending| &ending.errors).filter(|errors| !errors.is_empty());
        let kept = |time: fn(&BatchEnding) -> Option<Timestamp>| ending.and_then(time);
        let in_progress_at = kept(|ending| ending.in_progress_at).or(run.as_ref().map(|run| run.created_at));
        let finalizing_at = kept(|ending| ending.finalizing_at).or(run.as_ref().and_then(|run| run.finished_at));
        Ok(BatchForm {
            id: batch.id.clone(),
            object: "batch",
            endpoint: batch.endpoint.clone(),
            model: batch.checked.as_ref().map(|checked| checked.model.clone()),
            errors: errors.map(|errors| ErrorsForm { object: "list", data: errors.iter().map(line_error).collect() }),
            input_file_id: batch.input_file.clone(),
            completion_window: batch.completion_window.clone(),
            status: status(situation),
            output_file_id: ending.and_then(|ending| ending.output_file.clone()),
            error_file_id: ending.and_then(|ending| ending.error_file.clone()),
            created_at: seconds(batch.created_at),
            in_progress_at: in_progress_at.map(seconds),
            expires_at: seconds(batch.expires_at),
            finalizing_at: finalizing_at.map(seconds),
            completed_at: ended(BatchOutcome::Completed),
            failed_at: ended(BatchOutcome::Failed),
            expired_at: ended(BatchOutcome::Expired),
            cancelling_at: batch.cancelling_at.map(seconds),
            cancelled_at: ended(BatchOutcome::Cancelled),
            request_counts: CountsForm { total: counts.total, completed: counts.completed, failed: counts.failed },
            usage: ending.and_then(|ending| ending.usage).map(usage),
            metadata: batch.metadata.clone(),
            stepwell_run: run.as_ref().map(|run| run.id.to_string()),
        })
    }
}

impl Listed for BatchForm {
    fn id(&self) -> &str {
        &self.id
    }
}

/// The state of a batch: its ending, else the wish to cancel it, else what its run does.
pub fn status(situation: &Situation) -> &'static str {
    let Situation { batch, run, closing } = situation;
    if let Some(ending) = &batch.ending {
        return ending.outcome.as_str();
    }
    if batch.cancelling_at.is_some() {
        return "cancelling";
    }
    match (run, closing) {
        (_, Some(_)) => "finalizing",
        (Some(RunSeen { status, .. }), None) if status.is_terminal() => "finalizing",
        (Some(_), None) => "in_progress",
        (None, None) => "validating",
    }
}

/// Rows of a batch that has ended, or as far as its run has come.
pub fn counts(reader: &Reader, situation: &Situation) -> Result<BatchCounts, Problem> {
    match &situation.batch.ending {
        Some(ending) => Ok(ending.counts),
        None => so_far(reader, situation),
    }
}

/// Counts while the run works: those of the newest checkpoint, which are durable and never fall.
fn so_far(reader: &Reader, situation: &Situation) -> Result<BatchCounts, Problem> {
    let total = situation.batch.checked.as_ref().map_or(0, |checked| checked.lines);
    let mut counts = BatchCounts { total, ..BatchCounts::default() };
    let Some(run) = &situation.run else { return Ok(counts) };
    // The run has one step.
    let Some(step) = reader.steps(run.id)?.into_iter().next() else { return Ok(counts) };
    let number = |value: Option<&Value>| value.and_then(Value::as_u64).unwrap_or(0);
    if let Some(outputs) = step.outputs {
        counts.completed = number(outputs.values.get("completed"));
        counts.failed = number(outputs.values.get("failed"));
    } else if let Some(newest) = reader.checkpoints(run.id, &step.id)?.first() {
        let state = &newest.checkpoint.state;
        let rows = number(state.get("rows")).min(total);
        counts.failed = number(state.get("failed")).min(rows);
        counts.completed = rows - counts.failed;
    }
    Ok(counts)
}

fn line_error(error: &LineError) -> LineErrorForm {
    let LineError { code, message, line, param } = error.clone();
    LineErrorForm { code, message, line, param }
}

fn usage(BatchUsage { input_tokens, output_tokens }: BatchUsage) -> UsageForm {
    UsageForm {
        input_tokens,
        input_tokens_details: CachedForm { cached_tokens: 0 },
        output_tokens,
        output_tokens_details: ReasoningForm { reasoning_tokens: 0 },
        total_tokens: input_tokens + output_tokens,
    }
}
