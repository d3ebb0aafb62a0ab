//! What an attempt hands to the next one, beside the segment: the state of a checkpoint.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::in_flight::{Cause, Death, Deaths};
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::Failure;
use stepwell_batch::estimate::Alerted;

/// Format of the state and of the segment.
const FORMAT: u32 = 1;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(in crate::infer) struct Standing {
    format: u32,
    /// Start of the first attempt, from which the deadline counts.
    pub started_at: Timestamp,
    /// Bytes of the segment that are durable.
    pub segment_bytes: u64,
    /// Rows that have ended.
    pub rows: u64,
    /// Those of them that have failed.
    #[serde(default)]
    pub failed: u64,
    /// Most rows at once, after the batch has run out of memory.
    #[serde(default)]
    pub most_at_once: Option<usize>,
    pub deaths: Deaths,
    pub alerted: Alerted,
}

impl Standing {
    /// That of the newest checkpoint, or of a batch that starts now.
    pub(in crate::infer) fn of(checkpoints: &[Checkpoint], now: Timestamp) -> Standing {
        let known = checkpoints.iter().filter_map(|checkpoint| serde_json::from_value(checkpoint.state.clone()).ok());
        let mut known = known.filter(|standing: &Standing| standing.format == FORMAT);
        known.next().unwrap_or(Standing {
            format: FORMAT,
            started_at: now,
            segment_bytes: 0,
            rows: 0,
            failed: 0,
            most_at_once: None,
            deaths: Deaths::default(),
            alerted: Alerted::Never,
        })
    }

    /// Draws the conclusion from a death, and says it for people. A batch that ran out of memory continues at half its size; any
    /// other death is charged to the rows that were in flight.
    pub(in crate::infer) fn conclude(&mut self, death: &Death) -> String {
        let at_once = death.lines.len();
        if death.cause == Cause::OutOfMemory && at_once > 1 {
            let half = at_once / 2;
            self.most_at_once = Some(half);
            return format!(
                "the worker ran out of memory while it worked on {at_once} rows: the batch continues with at most {half} at once"
            );
        }
        self.deaths.charge(death);
        let lines: Vec<String> = death.lines.iter().map(u64::to_string).collect();
        let why = if death.cause == Cause::OutOfMemory { "for lack of memory " } else { "" };
        format!("the worker died {why}while it worked on line {}: these rows run one by one", lines.join(", "))
    }

    pub(in crate::infer) fn checkpoint(&self, tokens: u64) -> Result<Checkpoint, Failure> {
        let state = serde_json::to_value(self)
            .map_err(|error| Failure::fatal(format!("cannot describe a checkpoint: {error}")))?;
        Ok(Checkpoint { state, tokens_so_far: Some(tokens), keep: Some(1), ..Checkpoint::default() })
    }
}
