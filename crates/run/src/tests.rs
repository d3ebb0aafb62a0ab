//! Properties of decisions over random workflows and random histories.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::apply::apply;
use super::command::{Command, Decision, Effect, OnFalse};
use super::event::{self, Event, PauseCause, ReleaseCause, Ruling, RunEvent, StepEvent, StepEventKind, Wait};
use super::retry::MAXIMUM_LOSSES_IN_A_ROW;
use super::state::{Deadlines, Lifecycle, Restored, RunEnd, RunState, StepState};
use super::status::{RunStatus, StepStatus, Transition, fence_holds};
use stepwell_base::artifact::Outputs;
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_workflow::catalog::Placement;
use stepwell_workflow::spec::{RetryPolicy, StepSpec, Timeouts, WorkflowSpec};

mod control;
mod properties;
mod stored_events;
mod timeouts;
mod waits;

fn step(id: &str, needs: &[&str]) -> StepSpec {
    StepSpec {
        id: id.into(),
        kind: "child".into(),
        needs: needs.iter().map(|id| StepId::from(*id)).collect(),
        with: Map::new(),
        for_each: None,
        when: None,
        retry: RetryPolicy { initial_interval: Duration::from_secs(1), ..RetryPolicy::default() },
        timeout: Timeouts {
            start_to_close: Some(Duration::from_secs(100)),
            schedule_to_close: None,
            heartbeat: Duration::from_secs(30),
        },
        child: None,
        resources: Default::default(),
        priority: 0,
        rate_limit: None,
        executor: None,
    }
}

fn spec(steps: Vec<StepSpec>) -> Arc<WorkflowSpec> {
    Arc::new(WorkflowSpec {
        name: "w".into(),
        description: String::new(),
        params: Map::new(),
        defaults: None,
        steps,
        outputs: Map::new(),
        budget: Default::default(),
        sla: None,
        secrets: Default::default(),
    })
}

fn new_state(spec: &Arc<WorkflowSpec>) -> RunState {
    let placement = |kind: &str| if kind == "child" { Placement::Child } else { Placement::InProcess };
    RunState::new(RunId(Uuid::nil()), spec.clone(), placement)
}

/// A run under test: its state, its whole history, and the contents of the tables.
struct World {
    spec: Arc<WorkflowSpec>,
    state: RunState,
    now: Timestamp,
    history: Vec<(Timestamp, Event)>,
    extensions: Vec<(usize, StepId, Fence, Timestamp)>,
    run_status: RunStatus,
    statuses: BTreeMap<StepId, StepStatus>,
    fences: BTreeMap<StepId, u64>,
    leased: BTreeSet<StepId>,
    /// Signals sent and taken, by name.
    sent: BTreeMap<String, Vec<Value>>,
    taken: BTreeMap<String, Vec<Value>>,
}

impl World {
    fn new(spec: Arc<WorkflowSpec>) -> World {
        let statuses = spec.steps.iter().map(|step| (step.id.clone(), StepStatus::Pending)).collect();
        let mut world = World {
            state: new_state(&spec),
            spec,
            now: Timestamp::UNIX_EPOCH,
            history: Vec::new(),
            extensions: Vec::new(),
            run_status: RunStatus::Pending,
            statuses,
            fences: BTreeMap::new(),
            leased: BTreeSet::new(),
            sent: BTreeMap::new(),
            taken: BTreeMap::new(),
        };
        world.tell(Command::Expire);
        world
    }

    fn wait(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    fn tell(&mut self, command: Command) -> Decision {
        let before = self.state.clone();
        let decision = self.state.handle(command, self.now);
        if decision.events.is_empty() {
            let mut after = self.state.clone();
            for effect in &decision.effects {
                if let Effect::ExtendLease { step, fence, until } = effect {
                    self.extensions.push((self.history.len(), step.clone(), *fence, *until));
                    // Lease extensions are the only change without an event.
                    let lease = before.step(step).and_then(|s| s.lease()).unwrap();
                    after.extend_lease(step, *fence, lease.expires_at);
                }
            }
            assert!(after == before, "state changed without an event");
        }
        for event in &decision.events {
            self.check(event);
            self.history.push((self.now, event.clone()));
        }
        self.check_waits();
        self.check_deadlines();
        decision
    }

    /// Asserts that the ordered deadlines equal those found by a scan of every step.
    fn check_deadlines(&self) {
        let mut expected = Deadlines::default();
        for (i, step) in self.state.steps.iter().enumerate() {
            expected.add(i, &step.state, self.state.schedule_deadline(step));
        }
        assert_eq!(self.state.deadlines, expected);
    }

    /// Asserts that no wake-up is lost and that no run ends while a step waits.
    fn check_waits(&self) {
        for (step, wait) in self.state.waits() {
            assert_eq!(self.state.end, None, "the run ended while {} waits", step.id);
            if let (Wait::Signal { name }, false) = (wait, self.state.lifecycle == Lifecycle::Canceling) {
                assert_eq!(self.state.signal(name), None, "{} sleeps although `{name}` has come", step.id);
            }
        }
    }

    /// Asserts, after a look at the clock, that only steps that wait for a child run are past their deadline.
    fn check_time(&self) {
        if self.state.end.is_some() || self.state.lifecycle != Lifecycle::Active {
            return;
        }
        for (step, wait) in self.state.waits().filter(|(step, _)| self.state.is_too_late(step, self.now)) {
            assert!(matches!(wait, Wait::Run { .. }), "{} waits although its time is over", step.id);
        }
    }

    fn sent(&self) -> usize {
        self.sent.values().map(Vec::len).sum()
    }

    /// Asserts that the tables accept the event, and that no step starts too early or twice.
    fn check(&mut self, event: &Event) {
        match event {
            Event::Run(event) => self.check_of_run(event),
            Event::Step(event) => self.check_of_step(event),
        }
    }

    fn check_of_run(&mut self, event: &RunEvent) {
        match self.run_status.after(event) {
            Transition::To(next) => self.run_status = next,
            Transition::Keep => {}
            Transition::Illegal => panic!("{event:?} in run status {}", self.run_status),
        }
        if let RunEvent::SignalReceived { name, payload } = event {
            self.sent.entry(name.clone()).or_default().push(payload.clone());
        }
    }

    fn check_of_step(&mut self, event: &StepEvent) {
        let StepEvent { step: id, fence: claimed, kind } = event;
        let status = self.statuses[id];
        if let (StepEventKind::Succeeded { outputs }, StepStatus::Waiting) = (kind, status)
            && let (Some(name), Some(payload)) = (outputs.values.get("name"), outputs.values.get("payload"))
        {
            self.taken.entry(name.as_str().unwrap_or_default().to_owned()).or_default().push(payload.clone());
        }
        let fence = Fence(self.fences.get(id).copied().unwrap_or(0));
        assert!(fence_holds(event, status, fence), "{event:?} under fence {fence:?} in step status {status}");
        match status.after(kind) {
            Transition::To(next) => drop(self.statuses.insert(id.clone(), next)),
            Transition::Keep => {}
            Transition::Illegal => panic!("{event:?} in step status {status}"),
        }
        match kind {
            StepEventKind::Expanded { items } => {
                for i in 0..items.len() {
                    self.statuses.entry(id.child(i)).or_insert(StepStatus::Pending);
                }
            }
            StepEventKind::AttemptStarted { .. } => {
                assert_ne!(self.run_status, RunStatus::Paused, "{id} was claimed in a paused run");
                let fence = claimed.unwrap();
                let last = self.fences.insert(id.clone(), fence.0).unwrap_or(0);
                assert!(fence.0 > last, "fence of {id} did not grow");
                assert!(self.leased.insert(id.clone()), "two leases of {id}");
                let definition = self.state.step_spec(self.state.step(id).unwrap());
                for need in &definition.needs {
                    assert_eq!(self.statuses[need], StepStatus::Succeeded, "{id} started before {need}");
                }
            }
            StepEventKind::AttemptFailed { .. }
            | StepEventKind::AttemptReleased { .. }
            | StepEventKind::Succeeded { .. }
            | StepEventKind::Canceled => drop(self.leased.remove(id)),
            _ => {}
        }
    }

    fn replay(&self) -> RunState {
        let mut state = new_state(&self.spec);
        let mut extensions = self.extensions.iter().peekable();
        for (i, (at, event)) in self.history.iter().enumerate() {
            while let Some((_, step, fence, until)) = extensions.next_if(|extension| extension.0 <= i) {
                state.extend_lease(step, *fence, *until);
            }
            apply(&mut state, *at, event);
        }
        for (_, step, fence, until) in extensions {
            state.extend_lease(step, *fence, *until);
        }
        state
    }

    fn ready(&self) -> Vec<StepId> {
        let ready = |id: &&StepId| matches!(self.state.step(id).map(|s| &s.state), Some(StepState::Ready { not_before }) if *not_before <= self.now);
        self.statuses.keys().filter(ready).cloned().collect()
    }

    fn leases(&self) -> Vec<(StepId, Fence)> {
        self.state.leases().map(|(step, lease)| (step.id.clone(), lease.fence)).collect()
    }

    fn claim(&mut self, id: &StepId) -> Decision {
        self.tell(Command::Claim {
            step: id.clone(),
            key: StepKey("k".into()),
            with: Value::Null,
            resources: Default::default(),
        })
    }

    fn claim_or_expand(&mut self, id: &StepId, items: usize) {
        let entry = self.state.step(id).unwrap();
        if entry.parent.is_none() && self.state.step_spec(entry).for_each.is_some() {
            self.tell(Command::Expand { step: id.clone(), items: vec![Value::Null; items] });
        } else {
            self.claim(id);
        }
    }

    fn complete_all(&mut self) {
        for (step, fence) in self.leases() {
            self.tell(Command::Complete { step, fence, outputs: Outputs::default() });
        }
    }

    fn answer_all(&mut self) {
        let waits: Vec<(StepId, Wait)> =
            self.state.waits().map(|(step, wait)| (step.id.clone(), wait.clone())).collect();
        for (step, wait) in waits {
            match wait {
                Wait::Approval { .. } => {
                    let verdict = event::Verdict::Approved;
                    self.tell(Command::Decide { step, verdict, approver: "x".into(), comment: None });
                }
                Wait::Signal { name } => drop(self.tell(Command::Signal { name, payload: self.sent().into() })),
                Wait::Run { run } => {
                    self.tell(Command::ChildEnded { step, run, result: Ok(Outputs::default()) });
                }
            }
        }
    }

    /// Lets every attempt succeed until the run ends.
    fn run_to_the_end(&mut self) {
        for _ in 0..10_000 {
            if self.state.end.is_some() {
                return;
            }
            self.wait(60);
            self.tell(Command::Expire);
            self.check_time();
            for id in self.ready() {
                self.claim_or_expand(&id, 2);
            }
            self.complete_all();
            self.answer_all();
        }
        panic!("the run does not end: {:?}", self.state);
    }
}

fn checkpoint() -> Checkpoint {
    Checkpoint {
        artifact: None,
        state: Value::Null,
        last_step: None,
        last_doc_index: None,
        tokens_so_far: None,
        loss: None,
        phase: None,
        permanent: false,
        keep: None,
        ..Checkpoint::default()
    }
}

fn world(steps: Vec<StepSpec>) -> World {
    World::new(spec(steps))
}

fn waits_for_a_person(world: &mut World, id: &str) {
    world.tell(Command::Wait { step: id.into(), wait: Wait::Approval { prompt: "?".into(), inputs: Value::Null } });
}

fn decide(id: &str, verdict: event::Verdict) -> Command {
    Command::Decide { step: id.into(), verdict, approver: "ada".into(), comment: Some("too early".into()) }
}

#[test]
fn independent_branches_go_on_when_a_step_fails() {
    let mut world = world(vec![step("a", &[]), step("b", &["a"]), step("c", &[])]);
    world.claim(&"a".into());
    world.claim(&"c".into());
    world.tell(Command::Fail { step: "a".into(), fence: Fence(1), failure: Failure::fatal("bad") });
    assert_eq!(world.state.end, None);
    world.tell(Command::Complete { step: "c".into(), fence: Fence(1), outputs: Outputs::default() });
    assert!(matches!(&world.state.end, Some(RunEnd::Failed { step, .. }) if step.as_str() == "a"));
    assert_eq!(world.statuses[&"b".into()], StepStatus::Pending);
    world.tell(Command::Resume);
    world.run_to_the_end();
    assert_eq!(world.state.end, Some(RunEnd::Succeeded));
}

#[test]
fn a_poison_step_stops_after_its_attempts_with_backoff() {
    let mut world = world(vec![step("a", &[])]);
    let mut pauses = Vec::new();
    loop {
        let Some(fence) = world.claim(&"a".into()).effects.first().map(|_| world.leases()[0].1) else {
            world.wait(1);
            if let Some(last) = pauses.last_mut() {
                *last += 1;
            }
            continue;
        };
        world.tell(Command::Fail { step: "a".into(), fence, failure: Failure::retryable("x") });
        if world.state.end.is_some() {
            break;
        }
        pauses.push(0);
    }
    assert_eq!(pauses, [1, 2]);
    assert_eq!(world.state.step(&"a".into()).unwrap().attempts, 3);
}

#[test]
fn losing_the_engine_is_no_failure_but_not_for_ever() {
    let mut world = world(vec![step("a", &[])]);
    for loss in 1..=MAXIMUM_LOSSES_IN_A_ROW {
        assert_eq!(world.state.end, None, "ended after {loss} losses");
        world.claim(&"a".into());
        let fence = world.leases()[0].1;
        world.tell(Command::Release {
            step: "a".into(),
            fence,
            cause: ReleaseCause::EngineDied,
            reason: "died".into(),
        });
    }
    assert!(matches!(world.state.end, Some(RunEnd::Failed { .. })));
}

#[test]
fn a_checkpoint_pardons_losses() {
    let mut world = world(vec![step("a", &[])]);
    for n in 0..3 * MAXIMUM_LOSSES_IN_A_ROW {
        world.wait(10);
        world.claim(&"a".into());
        let fence = world.leases()[0].1;
        let checkpoint = Checkpoint { last_step: Some(n.into()), ..checkpoint() };
        world.tell(Command::Checkpoint { step: "a".into(), fence, checkpoint });
        let command = if n % 2 == 0 {
            Command::Release { step: "a".into(), fence, cause: ReleaseCause::EngineDied, reason: "died".into() }
        } else {
            Command::Fail { step: "a".into(), fence, failure: Failure::new(FailureKind::LeaseLost, "x") }
        };
        world.tell(command);
        assert_eq!(world.state.end, None);
    }
    // Repeating a checkpoint is not progress.
    for _ in 0..3 {
        world.wait(10);
        world.claim(&"a".into());
        let fence = world.leases()[0].1;
        world.tell(Command::Checkpoint { step: "a".into(), fence, checkpoint: checkpoint() });
        world.tell(Command::Fail { step: "a".into(), fence, failure: Failure::new(FailureKind::LeaseLost, "x") });
    }
    world.wait(10);
    world.claim(&"a".into());
    let fence = world.leases()[0].1;
    world.tell(Command::Fail { step: "a".into(), fence, failure: Failure::new(FailureKind::LeaseLost, "x") });
    assert!(world.state.end.is_some());
}

#[test]
fn silence_and_slowness_end_attempts() {
    let mut world = world(vec![step("a", &[])]);
    world.claim(&"a".into());
    let killed = |world: &mut World| match world.tell(Command::Expire).effects.first() {
        Some(Effect::Kill { failure, .. }) => Some(failure.kind),
        _ => None,
    };
    world.wait(29);
    assert_eq!(killed(&mut world), None);
    world.wait(1);
    assert_eq!(killed(&mut world), Some(FailureKind::LeaseLost));
    world.tell(Command::Heartbeat { step: "a".into(), fence: Fence(1) });
    assert_eq!(killed(&mut world), None);
    for _ in 0..7 {
        world.wait(10);
        world.tell(Command::Heartbeat { step: "a".into(), fence: Fence(1) });
    }
    assert_eq!(killed(&mut world), Some(FailureKind::Timeout));
}

#[test]
fn a_skipped_step_takes_its_dependents_along() {
    let mut world = world(vec![step("a", &[]), step("b", &["a"]), step("c", &["b"]), step("d", &[])]);
    world.tell(Command::Skip { step: "a".into(), reason: "x".into() });
    assert_eq!(world.statuses[&"c".into()], StepStatus::Skipped);
    world.run_to_the_end();
    assert_eq!(world.state.end, Some(RunEnd::Succeeded));
}

#[test]
fn a_fan_out_over_nothing_succeeds() {
    let mut fan_out = step("a", &[]);
    fan_out.for_each = Some("x".into());
    let mut world = world(vec![fan_out, step("b", &["a"])]);
    world.tell(Command::Expand { step: "a".into(), items: Vec::new() });
    assert_eq!(world.statuses[&"a".into()], StepStatus::Succeeded);
    assert_eq!(world.ready(), [StepId::from("b")]);
}

#[test]
fn a_failed_fan_out_repeats_only_the_failed_children() {
    let mut fan_out = step("a", &[]);
    fan_out.for_each = Some("x".into());
    let mut world = world(vec![fan_out]);
    world.tell(Command::Expand { step: "a".into(), items: vec![Value::Null; 3] });
    for id in world.ready() {
        world.claim(&id);
    }
    world.tell(Command::Fail { step: "a[1]".into(), fence: Fence(1), failure: Failure::fatal("bad") });
    assert_eq!(world.state.end, None);
    world.complete_all();
    assert!(
        matches!(&world.state.end, Some(RunEnd::Failed { failure, .. }) if failure.message == "`a[1]` failed: bad")
    );
    world.tell(Command::Resume);
    assert_eq!(world.ready(), [StepId::from("a[1]")]);
    world.run_to_the_end();
    assert_eq!(world.state.end, Some(RunEnd::Succeeded));
}

#[test]
fn cancel_waits_for_the_last_process() {
    let mut world = world(vec![step("a", &[]), step("b", &[]), step("c", &["a"])]);
    world.claim(&"a".into());
    let decision = world.tell(Command::Cancel);
    assert_eq!(decision.effects, [Effect::Cancel { step: "a".into(), fence: Fence(1) }]);
    assert_eq!(world.state.end, None);
    world.tell(Command::Killed { step: "a".into(), fence: Fence(1) });
    assert_eq!(world.state.end, Some(RunEnd::Canceled));
    assert!(world.statuses.values().all(|status| *status == StepStatus::Canceled));
}

/// A million steps that wait for a pool cost as much as one.
#[test]
fn steps_with_equal_demands_are_one_candidate() {
    let mut large = step("large", &[]);
    large.resources.insert("gpu".into(), 2);
    large.for_each = Some("x".into());
    let mut small = step("small", &[]);
    small.resources.insert("gpu".into(), 1);
    let mut state = new_state(&spec(vec![large, small, step("free", &[])]));
    let now = Timestamp::UNIX_EPOCH;
    state.handle(Command::Expire, now);
    state.handle(Command::Expand { step: "large".into(), items: vec![Value::Null; 10_000] }, now);
    let heads = |state: &RunState| {
        let heads = super::next::next_claims(state, now);
        heads.map(|(_, _, i)| state.step_at(i).id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(heads(&state), ["large[0]", "small", "free"]);
    let (key, resources) = (StepKey("k".into()), Default::default());
    state.handle(Command::Claim { step: "large[0]".into(), key, with: Value::Null, resources }, now);
    assert_eq!(heads(&state), ["large[1]", "small", "free"]);
}

fn next_claim_of(state: &RunState, now: Timestamp) -> Option<StepId> {
    super::next::next_claims(state, now).next().map(|(_, _, i)| state.step_at(i).id.clone())
}

#[test]
fn a_long_chain_and_a_wide_fan_out_stay_linear() {
    let count = 100_000;
    let chain = (0..count).map(|i| {
        let need = format!("s{}", i.max(1) - 1);
        step(&format!("s{i}"), if i == 0 { vec![] } else { vec![need.as_str()] }.as_slice())
    });
    let spec = spec(chain.collect());
    let started = std::time::Instant::now();
    let mut state = new_state(&spec);
    let now = Timestamp::UNIX_EPOCH;
    state.handle(Command::Expire, now);
    while let Some(id) = next_claim_of(&state, now) {
        state.handle(
            Command::Claim {
                step: id.clone(),
                key: StepKey("k".into()),
                with: Value::Null,
                resources: Default::default(),
            },
            now,
        );
        state.handle(Command::Complete { step: id, fence: Fence(1), outputs: Outputs::default() }, now);
    }
    assert_eq!(state.end, Some(RunEnd::Succeeded));

    let mut fan_out = step("a", &[]);
    fan_out.for_each = Some("x".into());
    let mut state = new_state(&self::spec(vec![fan_out]));
    state.handle(Command::Expire, now);
    state.handle(Command::Expand { step: "a".into(), items: vec![Value::Null; count] }, now);
    while let Some(id) = next_claim_of(&state, now) {
        state.handle(
            Command::Claim {
                step: id.clone(),
                key: StepKey("k".into()),
                with: Value::Null,
                resources: Default::default(),
            },
            now,
        );
        state.handle(Command::Complete { step: id, fence: Fence(1), outputs: Outputs::default() }, now);
    }
    assert_eq!(state.end, Some(RunEnd::Succeeded));
    // Quadratic behaviour would take minutes.
    assert!(started.elapsed() < Duration::from_secs(20), "took {:?}", started.elapsed());
}
