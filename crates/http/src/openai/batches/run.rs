//! The runs of a batch: one that answers its rows, and one that fills the rest if the batch ends early.

use std::time::Duration;

use crate::problem::Problem;
use stepwell_base::artifact::ArtifactRef;
use stepwell_store::BatchRow;

pub use stepwell_batch::lines::OnBadLine;

/// Name in `metadata` of what happens to a bad line: `fail`, the default, or `error_line`.
const SWITCH: &str = "stepwell.on_bad_line";
/// Priority of a run that only writes what is known already: it must not wait behind the work of others.
const CLOSING: i32 = 1000;

/// A run to submit for a batch. The same key gives the same run.
#[derive(Clone, PartialEq, Debug)]
pub struct BatchRun {
    pub key: String,
    /// Id of the batch.
    pub batch: String,
    pub input: ArtifactRef,
    /// `/v1/chat/completions` or `/v1/completions`.
    pub endpoint: String,
    pub model: String,
    pub on_bad_line: OnBadLine,
    pub fill: Fill,
    /// Time until the deadline.
    pub finish_within: Duration,
    pub priority: i32,
}

/// What becomes of rows that nobody has answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fill {
    /// They are answered.
    Answers,
    /// They get error lines of this code, because the batch ends early.
    Cancelled,
    Expired,
}

impl BatchRun {
    pub fn of(batch: &BatchRow, model: String, fill: Fill) -> BatchRun {
        let window = batch.expires_at.duration_since(batch.created_at);
        BatchRun {
            key: if fill == Fill::Answers { batch.id.clone() } else { closing_key(&batch.id) },
            batch: batch.id.clone(),
            input: batch.input.clone(),
            endpoint: batch.endpoint.clone(),
            model,
            on_bad_line: on_bad_line(batch),
            fill,
            finish_within: Duration::try_from(window).unwrap_or(Duration::from_hours(24)),
            priority: if fill == Fill::Answers { urgency(batch) } else { CLOSING },
        }
    }
}

/// The idempotency key of the run that closes a batch early.
pub fn closing_key(batch: &str) -> String {
    format!("{batch}:close")
}

/// What the batch wants done with bad lines. [`check_switch`] has refused other values.
pub fn on_bad_line(batch: &BatchRow) -> OnBadLine {
    match batch.metadata.get(SWITCH).map(String::as_str) {
        Some("error_line") => OnBadLine::ErrorLine,
        _ => OnBadLine::Fail,
    }
}

/// # Errors
/// When the metadata ask for something else than there is.
pub fn check_switch(metadata: &std::collections::BTreeMap<String, String>) -> Result<(), Problem> {
    match metadata.get(SWITCH).map(String::as_str) {
        None | Some("fail" | "error_line") => Ok(()),
        Some(_) => Err(Problem::usage(format!("`metadata.{SWITCH}` is `fail` or `error_line`")).about("metadata")),
    }
}

/// Turns bad lines into error lines.
pub fn lenient() -> (String, String) {
    (SWITCH.to_owned(), "error_line".to_owned())
}

/// Higher for a shorter window, so that a batch with an early deadline goes before older ones with time. Batches of one
/// window go by age.
fn urgency(batch: &BatchRow) -> i32 {
    let hours = batch.expires_at.duration_since(batch.created_at).as_hours().clamp(0, 24);
    24 - i32::try_from(hours).unwrap_or(24)
}
