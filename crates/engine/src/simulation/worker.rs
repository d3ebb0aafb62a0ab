//! Fake worker processes. Each decides its whole script when it starts.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::executors::{AttemptId, Launch, WorkerId};
use stepwell_base::artifact::Outputs;
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_base::protocol::{FromAttempt, MetricRow, Progress};
use stepwell_base::rng::Rng;
use stepwell_workflow::pools::Held;

use super::workflow::one_in;

#[derive(Clone, Debug)]
pub(super) enum Act {
    Say(Box<FromAttempt>),
    /// Sends a checkpoint and waits for the answer.
    Checkpoint(u64),
    /// Stops for this long: sends no heartbeat, and reacts to nothing but SIGKILL.
    Freeze(Duration),
    /// Sends the last message; `true` means that the worker can serve another attempt.
    Finish(Box<FromAttempt>, bool),
    Exit(Option<i32>, Option<i32>),
    /// Sends a line that breaks the protocol.
    Garble,
    /// Kills the engine at this moment, as if the step had crashed the machine.
    KillEngine,
}

#[derive(Debug)]
pub(super) struct Process {
    pub id: AttemptId,
    pub worker: WorkerId,
    pub engine: u32,
    pub resources: Held,
    pub heartbeat: Duration,
    /// Serves one attempt after another.
    pub reusable: bool,
    pub script: VecDeque<(Duration, Act)>,
    pub train_step: u64,
    /// Waits for the answer to a checkpoint.
    pub waits: bool,
    pub frozen_until: Duration,
    pub asked_to_stop: bool,
    /// Ignores requests to stop.
    pub deaf: bool,
    pub finished: bool,
    pub idle: bool,
    /// `None` while the process runs.
    pub exit: Option<(Option<i32>, Option<i32>)>,
    /// Number of further tries that fail to prove the process dead.
    pub hangs: u32,
    /// Set when the end is reported, so that it is reported once.
    pub end_is_told: bool,
}

/// Accidents that an attempt may have.
pub(super) struct Luck {
    pub faults: bool,
    pub poison: bool,
}

impl Process {
    pub fn new(rng: &mut Rng, launch: &Launch, worker: WorkerId, engine: u32, luck: &Luck) -> Process {
        let from = launch.request.checkpoints.first().and_then(|checkpoint| checkpoint.last_step).unwrap_or(0);
        let mut process = Process {
            id: launch.id(),
            worker,
            engine,
            resources: launch.resources.clone(),
            heartbeat: launch.heartbeat,
            reusable: launch.resources.is_empty(),
            script: VecDeque::new(),
            train_step: from,
            waits: false,
            frozen_until: Duration::ZERO,
            asked_to_stop: false,
            deaf: luck.faults && one_in(rng, 6),
            finished: false,
            idle: false,
            exit: None,
            hangs: if luck.faults && one_in(rng, 25) { 1 + rng.below(2) as u32 } else { 0 },
            end_is_told: false,
        };
        process.plan(rng, launch, from, luck);
        process
    }

    fn plan(&mut self, rng: &mut Rng, launch: &Launch, from: u64, luck: &Luck) {
        let pause = |rng: &mut Rng, most: u64| Duration::from_millis(1 + rng.below(most));
        if luck.poison {
            self.script.push_back((pause(rng, 500), Act::KillEngine));
        }
        if launch.request.attempt > 1 {
            self.script.push_back((pause(rng, 50), Act::Say(Box::new(FromAttempt::Rewind { last_step: from }))));
        }
        let steps = rng.below(5);
        for step in from + 1..=from + steps {
            if one_in(rng, 2) {
                self.script.push_back((pause(rng, 3000), Act::Say(Box::new(FromAttempt::Metric(metric(step))))));
            }
            if one_in(rng, 3) {
                let progress = Progress { done: step, total: from + steps, ..Progress::default() };
                self.script.push_back((pause(rng, 500), Act::Say(Box::new(FromAttempt::Progress(progress)))));
            }
            if one_in(rng, 2) {
                self.script.push_back((pause(rng, 2000), Act::Checkpoint(step)));
            }
        }
        let done = FromAttempt::Done(outputs(launch));
        let last = match if luck.faults { rng.below(20) } else { 19 } {
            0 | 1 => Act::Exit(Some(1), None),
            2 => Act::Exit(None, Some(9)),
            3 | 4 => Act::Finish(Box::new(FromAttempt::Failed(Failure::retryable("flaky"))), false),
            5 => Act::Finish(Box::new(FromAttempt::Failed(Failure::fatal("wrong input"))), false),
            6 if one_in(rng, 2) => {
                Act::Finish(Box::new(FromAttempt::Failed(Failure::new(FailureKind::NoSpace, "no space"))), false)
            }
            7 if one_in(rng, 2) => Act::Garble,
            _ => Act::Finish(Box::new(done), self.reusable),
        };
        self.script.push_back((pause(rng, 4000), last));
        if luck.faults && one_in(rng, 8) {
            let at = rng.below(self.script.len() as u64) as usize;
            let span = Duration::from_millis(1 + rng.below(2 * self.heartbeat.as_millis() as u64 + 5000));
            self.script.insert(at, (pause(rng, 100), Act::Freeze(span)));
        }
    }

    pub fn runs(&self) -> bool {
        self.exit.is_none()
    }

    /// True if something of it may still act, including a process that hangs after its worker has ended.
    pub fn is_alive(&self) -> bool {
        self.runs() || self.hangs > 0
    }

    /// Perhaps writes a checkpoint, and stops.
    pub fn stop_soon(&mut self, rng: &mut Rng) {
        self.script.clear();
        self.waits = false;
        if one_in(rng, 2) {
            let step = self.train_step + 1;
            self.script.push_back((Duration::from_millis(1 + rng.below(3000)), Act::Checkpoint(step)));
        }
        let last = Act::Finish(Box::new(FromAttempt::Interrupted), false);
        self.script.push_back((Duration::from_millis(1 + rng.below(2000)), last));
    }
}

pub(super) fn checkpoint(step: u64) -> Checkpoint {
    Checkpoint {
        artifact: None,
        state: Value::from(step),
        last_step: Some(step),
        last_doc_index: None,
        tokens_so_far: None,
        loss: None,
        phase: None,
        permanent: false,
        keep: None,
        ..Checkpoint::default()
    }
}

fn metric(train_step: u64) -> MetricRow {
    MetricRow {
        train_step,
        loss: 1.0,
        z_loss: None,
        learning_rate: 0.1,
        grad_norm: 1.0,
        tokens_so_far: train_step,
        tokens_per_second: 1.0,
        ..MetricRow::default()
    }
}

/// Returns outputs that differ for every attempt.
fn outputs(launch: &Launch) -> Outputs {
    let mark = format!("{}", launch.id());
    Outputs { values: Map::from_iter([("by".to_owned(), Value::from(mark))]), ..Outputs::default() }
}
