//! Checks files that commands leave behind, and messages between workers and the engine.

use std::collections::BTreeMap;
use std::fs;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::probe::{is_readable, survives};
use super::step::Watched;
use stepwell_base::artifact::Outputs;
use stepwell_base::ids::{Fence, RunId, StepId};
use stepwell_base::json::{self, Limit};
use stepwell_base::protocol::{FromAttempt, ToAttempt};
use stepwell_run::event::{Event, Recorded, RunEvent, StepEventKind};
use stepwell_run::request::Request;
use stepwell_steps::command_files;
use stepwell_workflow::key::{json_digest, text_digest};

/// Checks one line of the worker protocol, in both directions. The result of an attempt must be fit for a commit.
pub(super) fn messages(data: &[u8]) {
    if let Ok(message) = json::parse::<ToAttempt>(data, Limit::STORED) {
        survives(&message);
    }
    let Ok(message) = json::parse::<FromAttempt>(data, Limit::STORED) else { return };
    survives(&message);
    // Larger outputs fail before the worker sends them.
    if json::check(data, Limit::STEP).is_ok() {
        can_be_committed(message);
    }
}

/// Checks the payload of a signal: it can be requested, stored, returned by the waiting step, and passed on.
pub(super) fn payload(data: &[u8]) {
    let Ok(payload) = json::parse::<Value>(data, Limit::PAYLOAD) else { return };
    let text = std::str::from_utf8(data).expect("JSON is UTF-8");
    assert_eq!(text_digest(text).expect("it was read before"), json_digest(&payload));
    let name = "go".to_owned();
    let request = Request::Signal { name: name.clone(), payload: payload.clone() };
    let text = serde_json::to_string(&request).expect("what was read can be written");
    assert_eq!(json::parse::<Request>(text.as_bytes(), Limit::REQUEST).expect("a request can be read"), request);
    is_stored(Event::Run(RunEvent::SignalReceived { name, payload: payload.clone() }));
    let given = Map::from_iter([("payload".to_owned(), payload)]);
    json::check_values(given.values()).expect("a payload is a value of the step that waits");
    let with = Value::from(Map::from_iter([("values".to_owned(), Value::from(given.clone()))]));
    json::check_values([&with]).expect("a value can be an argument");
    can_be_committed(FromAttempt::Done(Outputs { artifacts: BTreeMap::new(), values: given }));
}

/// Reads the same file as values, as a checkpoint announcement, as progress, and as metrics.
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
    for progress in std::mem::take(&mut watched.progress) {
        survives(&FromAttempt::Progress(progress));
    }
    if let Err(refusal) = command_files::metrics(&path, &mut watched) {
        is_readable(&refusal, 0);
    }
    for change in watched.series {
        survives(&FromAttempt::Series(change));
    }
}

fn can_be_committed(message: FromAttempt) {
    survives(&message);
    let (step, fence) = (StepId::from("step"), Fence(1));
    let event = match message {
        FromAttempt::Done(outputs) => StepEventKind::Succeeded { outputs }.under(step, fence),
        FromAttempt::Checkpoint(checkpoint) => {
            StepEventKind::CheckpointCommitted { checkpoint: *checkpoint }.under(step, fence)
        }
        FromAttempt::Failed(failure) => StepEventKind::AttemptFailed { failure }.under(step, fence),
        FromAttempt::Note { message } => StepEventKind::Note { message }.under(step, fence),
        FromAttempt::Rewind { last_step } => StepEventKind::AttemptRewound { last_step }.under(step, fence),
        _ => return,
    };
    is_stored(event);
}

fn is_stored(event: Event) {
    survives(&Recorded { run: RunId(uuid::Uuid::nil()), at: Timestamp::UNIX_EPOCH, event });
}
