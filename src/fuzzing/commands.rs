//! What commands leave behind, and what workers and the engine say to each other.

use std::collections::BTreeMap;
use std::fs;

use jiff::Timestamp;

use super::probe::{is_readable, survives};
use super::step::Watched;
use crate::core::artifact::Outputs;
use crate::core::event::{Event, Recorded};
use crate::core::ids::{Fence, RunId, StepId};
use crate::core::protocol::{FromAttempt, ToAttempt};
use crate::steps::command_files;

/// One line of the worker protocol, in both directions. What an attempt gives can be committed.
pub(super) fn messages(data: &[u8]) {
    if let Ok(message) = serde_json::from_slice::<ToAttempt>(data) {
        survives(&message);
    }
    let Ok(message) = serde_json::from_slice::<FromAttempt>(data) else { return };
    can_be_committed(message);
}

/// The same file as values, as the announcement of a checkpoint, and as progress.
pub(super) fn command(data: &[u8]) {
    let directory = tempfile::tempdir().expect("the folder for temporary files is writable");
    let path = directory.path().join("file");
    fs::write(&path, data).expect("a new folder is writable");
    match command_files::values(&path) {
        Ok(values) => can_be_committed(FromAttempt::Done(Outputs { artifacts: BTreeMap::new(), values })),
        Err(refusal) => is_readable(&refusal, 0),
    }
    match command_files::checkpoint(&path) {
        Ok(checkpoint) => can_be_committed(FromAttempt::Checkpoint(Box::new(checkpoint))),
        Err(refusal) => is_readable(&refusal, 0),
    }
    let mut watched = Watched::default();
    command_files::progress(&path, &mut watched);
    for progress in watched.progress {
        survives(&FromAttempt::Progress(progress));
    }
}

fn can_be_committed(message: FromAttempt) {
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
