//! What workers and the engine say to each other.

use jiff::Timestamp;

use super::probe::survives;
use crate::core::event::{Event, Recorded};
use crate::core::ids::{Fence, RunId, StepId};
use crate::core::protocol::{FromAttempt, ToAttempt};

/// One line of the worker protocol, in both directions. What an attempt gives can be committed.
pub(super) fn messages(data: &[u8]) {
    if let Ok(message) = serde_json::from_slice::<ToAttempt>(data) {
        survives(&message);
    }
    let Ok(message) = serde_json::from_slice::<FromAttempt>(data) else { return };
    survives(&message);
    let (step, fence) = (StepId::from("step"), Fence(1));
    let event = match message {
        FromAttempt::Done(outputs) => Event::StepSucceeded { step, fence, outputs },
        FromAttempt::Checkpoint(checkpoint) => Event::CheckpointCommitted { step, fence, checkpoint: *checkpoint },
        FromAttempt::Failed(failure) => Event::AttemptFailed { step, fence, failure },
        FromAttempt::Note { message } => Event::Note { step, fence, message },
        FromAttempt::Rewind { last_step } => Event::AttemptRewound { step, fence, last_step },
        _ => return,
    };
    survives(&Recorded { run: RunId(uuid::Uuid::nil()), at: Timestamp::UNIX_EPOCH, event });
}
