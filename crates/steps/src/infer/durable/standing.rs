//! What an attempt hands to the next one, beside the segment: the state of a checkpoint.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::in_flight::Deaths;
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
    pub rows: u64,
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
            deaths: Deaths::default(),
            alerted: Alerted::Never,
        })
    }

    pub(in crate::infer) fn checkpoint(&self, tokens: u64) -> Result<Checkpoint, Failure> {
        let state = serde_json::to_value(self)
            .map_err(|error| Failure::fatal(format!("cannot describe a checkpoint: {error}")))?;
        Ok(Checkpoint { state, tokens_so_far: Some(tokens), keep: Some(1), ..Checkpoint::default() })
    }
}
