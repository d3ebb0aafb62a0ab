//! Commands to a run, and the decisions that answer them: data without judgement.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::event::{Alert, Event, PauseCause, ProcessIdentity, ReleaseCause, Ruling, Verdict, Wait};
use stepwell_base::artifact::Outputs;
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::Failure;
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_workflow::budget::Budget;
use stepwell_workflow::pools::Held;

/// A report or a request. Commands about an attempt carry its fence; a stale fence decides nothing.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Lease a ready step for its next attempt.
    Claim {
        step: StepId,
        key: StepKey,
        with: Value,
        resources: Held,
    },
    Spawned {
        step: StepId,
        fence: Fence,
        process: ProcessIdentity,
    },
    Heartbeat {
        step: StepId,
        fence: Fence,
    },
    Complete {
        step: StepId,
        fence: Fence,
        outputs: Outputs,
    },
    Fail {
        step: StepId,
        fence: Fence,
        failure: Failure,
    },
    /// The attempt ended without blame.
    Release {
        step: StepId,
        fence: Fence,
        cause: ReleaseCause,
        reason: String,
    },
    Checkpoint {
        step: StepId,
        fence: Fence,
        checkpoint: Checkpoint,
    },
    Rewind {
        step: StepId,
        fence: Fence,
        last_step: u64,
    },
    Note {
        step: StepId,
        fence: Fence,
        message: String,
    },
    /// The attempt was ended for `Cancel` and is proven dead.
    Killed {
        step: StepId,
        fence: Fence,
    },
    /// The items of a ready `for_each` step are known.
    Expand {
        step: StepId,
        items: Vec<Value>,
    },
    /// The `when` condition of a ready step is false.
    Skip {
        step: StepId,
        reason: String,
    },
    /// Finished work has the same key as this ready step.
    Reuse {
        step: StepId,
        key: StepKey,
        with: Value,
        from: RunId,
        outputs: Outputs,
    },
    /// A ready step cannot be attempted: a template or an input is invalid.
    Reject {
        step: StepId,
        failure: Failure,
    },
    Wait {
        step: StepId,
        wait: Wait,
    },
    /// The rule of a ready gate was evaluated.
    Rule {
        step: StepId,
        ruling: Ruling,
        on_false: OnFalse,
    },
    Decide {
        step: StepId,
        verdict: Verdict,
        approver: String,
        comment: Option<String>,
    },
    Signal {
        name: String,
        payload: Value,
    },
    ChildEnded {
        step: StepId,
        run: RunId,
        result: Result<Outputs, Failure>,
    },
    /// Check for expired leases and timeouts.
    Expire,
    Cancel,
    /// Claim nothing until `Resume`; attempts write a checkpoint and stop.
    Pause {
        cause: PauseCause,
        reason: String,
    },
    /// Notify people, once per kind of alert.
    Alert {
        alert: Alert,
        message: String,
    },
    /// Raise the budget: limits set in `to` replace the current ones.
    RaiseBudget {
        to: Budget,
    },
    /// Stop the run without ending it; repeat until `RunEvent::Interrupted` appears.
    Interrupt {
        reason: String,
    },
    /// Continue an interrupted or paused run, or retry the failed steps of a failed one.
    Resume,
    /// Give this failed step, or all of them, new retries, even while the rest of the run continues.
    Retry {
        step: Option<StepId>,
    },
}

/// Work for the engine once the events are committed.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    Start {
        step: StepId,
        fence: Fence,
    },
    ExtendLease {
        step: StepId,
        fence: Fence,
        until: Timestamp,
    },
    AcknowledgeCheckpoint {
        step: StepId,
        fence: Fence,
    },
    Interrupt {
        step: StepId,
        fence: Fence,
    },
    /// End the attempt at once, prove it dead, then report `Fail` with this failure.
    Kill {
        step: StepId,
        fence: Fence,
        failure: Failure,
    },
    /// End the attempt politely, prove it dead, then report `Killed`.
    Cancel {
        step: StepId,
        fence: Fence,
    },
    /// Cancel the child run of a step that is past its deadline; the step fails once the child run has ended.
    CancelRun {
        run: RunId,
    },
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Decision {
    pub events: Vec<Event>,
    pub effects: Vec<Effect>,
}

impl Decision {
    pub(crate) fn event(event: impl Into<Event>) -> Decision {
        Decision { events: vec![event.into()], effects: Vec::new() }
    }

    pub(crate) fn events(events: impl IntoIterator<Item = Event>) -> Decision {
        Decision { events: events.into_iter().collect(), effects: Vec::new() }
    }

    pub(crate) fn effect(effect: Effect) -> Decision {
        Decision { events: Vec::new(), effects: vec![effect] }
    }

    pub(crate) fn then(mut self, effect: Effect) -> Decision {
        self.effects.push(effect);
        self
    }
}

/// The consequence of a gate rule that is false.
#[derive(Clone, PartialEq, Debug)]
pub enum OnFalse {
    Fail,
    /// The step succeeds with `passed = false`.
    Continue,
    /// A person decides.
    Ask {
        prompt: String,
    },
}

/// The action of a waiting kind on a ready step.
#[derive(Clone, PartialEq, Debug)]
pub enum AtClaim {
    Wait(Wait),
    Rule {
        ruling: Ruling,
        on_false: OnFalse,
    },
    /// Submit a child run with these params, and wait for its end.
    StartChild {
        params: Map<String, Value>,
    },
}
