//! Checks the committed log against the contract: a second, stricter model of the allowed order of events. It shares no
//! code with `decide` and `apply`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::executors::AttemptId;
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::FailureKind;
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_run::event::{Alert, Event, PauseCause, RunEvent, StepEvent, StepEventKind, Verdict, Wait};
use stepwell_run::run_options::Origin;
use stepwell_store::EventRow;
use stepwell_workflow::pools::Held;
use stepwell_workflow::spec::{StepSpec, WorkflowSpec};

use super::workflow::{GPUS, MEMORY};

/// Maximum number of starts under the rate limit `api`, and the time span that it applies to.
pub(super) const RATE: (u32, Duration) = (2, Duration::from_secs(20));

type Checked<T = ()> = Result<T, String>;

macro_rules! must {
    ($holds:expr, $($why:tt)*) => {
        if !$holds {
            return Err(format!($($why)*));
        }
    };
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Active,
    Interrupted,
    Paused,
    Canceling,
    Succeeded,
    Failed,
    Canceled,
}

impl Phase {
    pub fn has_ended(self) -> bool {
        matches!(self, Phase::Succeeded | Phase::Failed | Phase::Canceled)
    }
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum State {
    Pending,
    Ready {
        not_before: Timestamp,
    },
    Leased {
        started_at: Timestamp,
        resources: Held,
    },
    /// The attempt has ended; the consequence is in the same commit.
    Ended {
        retry_at: Option<Timestamp>,
    },
    /// A gate or an approval has a verdict; the consequence is in the same commit.
    Decided {
        verdict: Verdict,
        by_person: bool,
    },
    Waiting(Wait),
    Expanded,
    Succeeded,
    Failed,
    Skipped,
    Canceled,
}

#[derive(Debug)]
pub(super) struct Step {
    pub spec: usize,
    pub state: State,
    pub parent: Option<StepId>,
    pub children: usize,
    pub fence: u64,
    pub attempts: u32,
    pub failures: u32,
    pub losses: u32,
    pub key: Option<StepKey>,
    /// Time at which `timeout.schedule_to_close` started to count.
    pub ready_since: Option<Timestamp>,
    /// Training steps of committed checkpoints that no rewind has voided, oldest first.
    pub checkpoints: Vec<u64>,
    pub adopted: Option<u64>,
    /// Child runs started for this step.
    pub runs: Vec<RunId>,
}

#[derive(Debug)]
pub(super) struct Run {
    id: RunId,
    pub spec: WorkflowSpec,
    pub name: String,
    pub origin: Option<Origin>,
    pub phase: Phase,
    pub phase_since: Duration,
    pub pause_cause: Option<PauseCause>,
    pub started: bool,
    /// The run was resumed after its failure, and no step has resumed yet.
    is_idle: bool,
    pub steps: BTreeMap<StepId, Step>,
    pub alerts: Vec<Alert>,
    /// Payloads of signals that no step has taken, by name, oldest first.
    pub signals: Vec<(String, Value)>,
}

impl Run {
    pub fn step_spec(&self, step: &Step) -> &StepSpec {
        &self.spec.steps[step.spec]
    }

    pub fn parent(&self) -> Option<(RunId, &StepId)> {
        match &self.origin {
            Some(Origin::Child { run, step }) => Some((*run, step)),
            _ => None,
        }
    }

    /// Steps that wait for something outside.
    pub fn waits(&self) -> impl Iterator<Item = (&StepId, &Step, &Wait)> {
        self.steps.iter().filter_map(|(id, step)| match &step.state {
            State::Waiting(wait) => Some((id, step, wait)),
            _ => None,
        })
    }

    fn is_settled(&self, id: &StepId) -> bool {
        self.steps.get(id).is_some_and(|step| matches!(step.state, State::Succeeded | State::Skipped))
    }
}

/// Facts about the world that the log does not contain.
pub(super) trait Witness {
    /// True while a process of the attempt may still do something.
    fn lives(&self, id: &AttemptId) -> bool;
    /// True while an attempt of the run has not sent its last message and may still do something.
    fn run_lives(&self, run: RunId) -> bool;
    /// Outputs that the attempt has sent.
    fn done(&self, id: &AttemptId) -> Option<&Outputs>;
    /// Fails if the attempt sent a heartbeat within the length of its lease.
    fn was_silent(&self, id: &AttemptId) -> Checked;
    /// Elapsed time since the start of the seed, independent of the wall clock.
    fn elapsed(&self) -> Duration;
    /// Elapsed time minus the time in which the engine was away.
    fn awake(&self) -> Duration;
    /// True if a person has asked to resume the run.
    fn may_resume(&self, run: RunId) -> bool;
    /// True if a person has paused the schedule.
    fn schedule_is_paused(&self) -> bool;
    /// True if the wall clock was ever set.
    fn clock_has_jumped(&self) -> bool;
    /// Time at which an engine last started after the wall clock was set.
    fn jump_noticed_at(&self) -> Option<Duration>;
}

#[derive(Default)]
pub(super) struct Contract {
    pub runs: BTreeMap<RunId, Run>,
    pub seq: i64,
    /// Newest event read, to check that it stays.
    newest: Option<(RunId, Event)>,
    /// Effects of requests, by the mark in their text.
    pub marks: BTreeMap<String, u32>,
    idempotency_keys: BTreeSet<String>,
    due_times: BTreeSet<Timestamp>,
    /// Elapsed times of starts under the rate limit.
    starts: Vec<Duration>,
}

impl Contract {
    pub fn newest(&self) -> Option<&(RunId, Event)> {
        self.newest.as_ref()
    }

    pub fn step(&self, id: &AttemptId) -> Option<&Step> {
        self.runs.get(&id.run)?.steps.get(&id.step)
    }

    pub fn open(&self) -> impl Iterator<Item = (&RunId, &Run)> {
        self.runs.iter().filter(|(_, run)| !run.phase.has_ended())
    }

    /// Checks the next event of the log.
    ///
    /// # Errors
    /// The broken rule.
    pub fn take(&mut self, row: &EventRow, spec: impl FnOnce(RunId) -> WorkflowSpec, witness: &dyn Witness) -> Checked {
        must!(row.seq == self.seq + 1, "event {} follows event {}", row.seq, self.seq);
        self.seq = row.seq;
        self.newest = Some((row.run, row.event.clone()));
        if let Event::Run(RunEvent::Submitted { name, options, idempotency_key, .. }) = &row.event {
            must!(!self.runs.contains_key(&row.run), "the run is submitted twice");
            if let Some(key) = idempotency_key {
                must!(self.idempotency_keys.insert(key.clone()), "two runs under the key `{key}`");
            }
            if let Some(Origin::Schedule { due, .. }) = &options.origin {
                must!(self.due_times.insert(*due), "the schedule starts two runs for {due}");
                must!(!witness.schedule_is_paused(), "a paused schedule starts a run");
            }
            return self.submitted(row, name, options.origin.clone(), spec(row.run));
        }
        self.check_ends(row, witness)?;
        self.check_start(row, witness)?;
        let has_jumped = witness.clock_has_jumped();
        let run = self.runs.get_mut(&row.run).ok_or_else(|| "an event of an unknown run".to_owned())?;
        must!(!matches!(run.phase, Phase::Succeeded | Phase::Canceled), "an event after the end of the run");
        if run.phase == Phase::Failed {
            must!(matches!(row.event, Event::Run(RunEvent::Resumed)), "an event after the failure of the run");
        }
        let before = run.phase;
        apply(run, row, &mut self.marks, has_jumped, witness)?;
        if run.phase != before {
            run.phase_since = witness.awake();
        }
        Ok(())
    }

    fn submitted(&mut self, row: &EventRow, name: &str, origin: Option<Origin>, spec: WorkflowSpec) -> Checked {
        let active = self.open().find(|(_, run)| run.name == name);
        must!(active.is_none(), "two active runs are named {name}");
        if let Some(Origin::Child { run, step }) = &origin {
            let others: Vec<RunId> = {
                let parent = self.runs.get(run).ok_or_else(|| "a child run of an unknown run".to_owned())?;
                parent.steps.get(step).map(|step| step.runs.clone()).unwrap_or_default()
            };
            let open = others.iter().find(|other| self.runs[other].phase != Phase::Canceled);
            must!(open.is_none(), "step `{step}` gets a second child run beside {open:?}");
            if let Some(step) = self.runs.get_mut(run).and_then(|parent| parent.steps.get_mut(step)) {
                step.runs.push(row.run);
            }
        }
        let steps = spec.steps.iter().enumerate().map(|(i, step)| (step.id.clone(), Step::new(i, None)));
        let run = Run {
            id: row.run,
            steps: steps.collect(),
            spec,
            name: name.to_owned(),
            origin,
            phase: Phase::Active,
            phase_since: Duration::ZERO,
            pause_cause: None,
            started: false,
            is_idle: false,
            alerts: Vec::new(),
            signals: Vec::new(),
        };
        self.runs.insert(row.run, run);
        Ok(())
    }

    /// Checks ends of runs and attempts that concern other runs or processes.
    fn check_ends(&self, row: &EventRow, witness: &dyn Witness) -> Checked {
        let ended = match &row.event {
            Event::Step(StepEvent {
                step,
                fence: Some(fence),
                kind: StepEventKind::AttemptFailed { .. } | StepEventKind::AttemptReleased { .. },
            }) => Some((step, *fence)),
            Event::Step(StepEvent { step, kind: StepEventKind::Canceled, .. }) => {
                let state = self.runs.get(&row.run).and_then(|run| run.steps.get(step));
                state.filter(|step| matches!(step.state, State::Leased { .. })).map(|s| (step, Fence(s.fence)))
            }
            _ => None,
        };
        if let Some((step, fence)) = ended {
            let id = AttemptId { run: row.run, step: step.clone(), fence };
            must!(!witness.lives(&id), "attempt {id} is given up while its process lives");
        }
        if let Event::Step(StepEvent { step, fence: Some(fence), kind: StepEventKind::AttemptFailed { failure } }) =
            &row.event
            && failure.message.contains("no heartbeat")
        {
            witness.was_silent(&AttemptId { run: row.run, step: step.clone(), fence: *fence })?;
        }
        if row.event == Event::Run(RunEvent::Canceled) {
            must!(!witness.run_lives(row.run), "the run is canceled while a process of it lives");
            let children = self.runs.values().filter(|run| run.parent().is_some_and(|(parent, _)| parent == row.run));
            for child in children {
                must!(child.phase.has_ended(), "the run is canceled before its child run {}", child.name);
            }
        }
        if let Event::Step(StepEvent { step, kind: StepEventKind::Succeeded { outputs }, .. }) = &row.event
            && let Some(State::Waiting(Wait::Run { run })) =
                self.runs.get(&row.run).and_then(|run| run.steps.get(step)).map(|step| &step.state)
        {
            let child = &self.runs[run];
            must!(child.phase == Phase::Succeeded, "step `{step}` succeeded before its child run");
            must!(outputs.values.contains_key("n"), "step `{step}` lacks the outputs of its child run");
        }
        Ok(())
    }

    /// Checks the pool units and the rate limit of a start.
    fn check_start(&mut self, row: &EventRow, witness: &dyn Witness) -> Checked {
        let Event::Step(StepEvent { step, kind: StepEventKind::AttemptStarted { resources, .. }, .. }) = &row.event
        else {
            return Ok(());
        };
        let leases = self.runs.values().flat_map(|run| run.steps.values()).filter_map(|step| match &step.state {
            State::Leased { resources, .. } => Some(resources),
            _ => None,
        });
        check_pools(leases.chain([resources]))?;
        let Some(run) = self.runs.get(&row.run) else { return Ok(()) };
        let Some(step) = run.steps.get(step) else { return Ok(()) };
        if run.step_spec(step).rate_limit.is_some() {
            let now = witness.elapsed();
            let (count, per) = RATE;
            let jumped = witness.jump_noticed_at();
            let recent = |at: &&Duration| **at + per > now && jumped.is_none_or(|jump| **at >= jump);
            let recent = self.starts.iter().filter(recent).count();
            must!(recent < count as usize, "start {} within {per:?} under a limit of {count}", recent + 1);
            self.starts.push(now);
        }
        Ok(())
    }
}

/// Checks that no two holders share a device and that no pool exceeds its size.
pub(super) fn check_pools<'a>(held: impl Iterator<Item = &'a Held>) -> Checked {
    let (mut devices, mut memory) = (BTreeSet::new(), 0);
    for (pool, unit) in held.flatten().flat_map(|(pool, units)| units.iter().map(move |unit| (pool, unit))) {
        match pool.as_str() {
            "gpu" => must!(devices.insert(unit.clone()), "{unit} is in two hands"),
            _ => memory += unit.parse::<u64>().map_err(|_| format!("`{unit}` of memory"))?,
        }
    }
    must!(devices.len() as u64 <= GPUS && memory <= MEMORY, "pools are over their size: {devices:?}, {memory}");
    Ok(())
}

impl Step {
    fn new(spec: usize, parent: Option<StepId>) -> Step {
        Step {
            spec,
            state: State::Pending,
            parent,
            children: 0,
            fence: 0,
            attempts: 0,
            failures: 0,
            losses: 0,
            key: None,
            ready_since: None,
            checkpoints: Vec::new(),
            adopted: None,
            runs: Vec::new(),
        }
    }
}

fn apply(
    run: &mut Run,
    row: &EventRow,
    marks: &mut BTreeMap<String, u32>,
    has_jumped: bool,
    witness: &dyn Witness,
) -> Checked {
    let at = row.at;
    let event = match &row.event {
        Event::Run(event) => event,
        Event::Step(event) => return of_step(run, event, at, (marks, has_jumped, witness)),
    };
    match event {
        RunEvent::Submitted { .. } | RunEvent::Pruned => {}
        RunEvent::Started => {
            must!(!std::mem::replace(&mut run.started, true), "the run starts twice");
        }
        RunEvent::Interrupted { .. } => {
            must!(run.phase == Phase::Active, "a run that is {:?} is interrupted", run.phase);
            must!(run.steps.values().all(|s| !matches!(s.state, State::Leased { .. })), "interrupted with leases");
            run.phase = Phase::Interrupted;
        }
        RunEvent::Paused { reason, cause } => {
            must!(matches!(run.phase, Phase::Active | Phase::Interrupted), "a run that is {:?} is paused", run.phase);
            mark(marks, reason);
            run.pause_cause = *cause;
            run.phase = Phase::Paused;
        }
        RunEvent::Resumed => {
            let stopped = matches!(run.phase, Phase::Interrupted | Phase::Paused | Phase::Failed);
            must!(stopped, "a run that is {:?} is resumed", run.phase);
            let by_person = matches!(run.pause_cause, Some(PauseCause::Person | PauseCause::Budget));
            let asked = run.phase != Phase::Paused || !by_person || witness.may_resume(run.id);
            must!(asked, "the run is resumed, and nobody asked for it");
            run.is_idle = run.phase == Phase::Failed;
            run.phase = Phase::Active;
        }
        RunEvent::CancelRequested => {
            must!(run.phase != Phase::Canceling, "the run is canceled twice");
            run.phase = Phase::Canceling;
        }
        RunEvent::Canceled => {
            must!(run.phase == Phase::Canceling, "the run is canceled, but nobody has asked for it");
            run.phase = Phase::Canceled;
        }
        RunEvent::Succeeded => {
            let settled = run.steps.keys().all(|id| run.is_settled(id));
            must!(settled, "the run succeeds with steps that have not");
            run.phase = Phase::Succeeded;
        }
        RunEvent::Failed { .. } => {
            let goes_on = |step: &Step| {
                matches!(step.state, State::Ready { .. } | State::Leased { .. } | State::Waiting(_) | State::Expanded)
            };
            must!(!run.is_idle, "the run is resumed, but none of its steps");
            must!(!run.steps.values().any(goes_on), "the run fails while a step can go on");
            must!(run.steps.values().any(|step| step.state == State::Failed), "the run fails without a failed step");
            run.phase = Phase::Failed;
        }
        RunEvent::Alerted { alert, .. } => {
            must!(!run.alerts.contains(alert), "the alert {alert:?} is said twice");
            run.alerts.push(*alert);
        }
        RunEvent::BudgetRaised { .. } => run.alerts.retain(|alert| *alert != Alert::BudgetExhausted),
        RunEvent::SignalReceived { name, payload } => {
            mark(marks, payload.as_str().unwrap_or_default());
            run.signals.push((name.clone(), payload.clone()));
        }
    }
    Ok(())
}

fn of_step(
    run: &mut Run,
    event: &StepEvent,
    at: Timestamp,
    (marks, has_jumped, witness): (&mut BTreeMap<String, u32>, bool, &dyn Witness),
) -> Checked {
    let StepEvent { step: id, fence, kind } = event;
    let fence = fence.unwrap_or(Fence(0));
    let whole = run.phase;
    if let StepEventKind::Expanded { items } = kind
        && run.steps.get(id).is_some_and(|step| step.children == 0)
    {
        let spec = run.steps[id].spec;
        for i in 0..items.len() {
            run.steps.insert(id.child(i), Step::new(spec, Some(id.clone())));
        }
    }
    let needs_done = match run.steps.get(id) {
        Some(step) if step.parent.is_none() => run.step_spec(step).needs.iter().all(|need| run.is_settled(need)),
        Some(_) => true,
        None => return Err(format!("an event of the unknown step `{id}`")),
    };
    let children_settled = {
        let step = &run.steps[id];
        (0..step.children).all(|i| run.is_settled(&id.child(i)))
    };
    let spec = run.step_spec(&run.steps[id]).clone();
    run.is_idle &= !matches!(kind, StepEventKind::Ready { .. });
    let Some(step) = run.steps.get_mut(id) else { return Ok(()) };
    let attempt = |fence: Fence| (fence.0 == step.fence, matches!(step.state, State::Leased { .. }));
    match kind {
        StepEventKind::Ready { not_before } => {
            match &step.state {
                State::Pending => must!(needs_done, "step `{id}` is ready before its needs"),
                State::Ended { retry_at } => {
                    if let Some(expected) = retry_at {
                        let off = not_before.duration_since(*expected).abs();
                        must!(
                            off <= SignedDuration::from_millis(2),
                            "step `{id}`: retry at {not_before}, not {expected}"
                        );
                    }
                }
                State::Failed => (step.failures, step.losses) = (0, 0),
                other => return Err(format!("step `{id}` becomes ready while {other:?}")),
            }
            if !matches!(step.state, State::Ended { .. }) || step.ready_since.is_none() {
                step.ready_since = Some(at);
            }
            // The timeout counts from the first time that the step was ready, across attempts.
            step.state = State::Ready { not_before: *not_before };
        }
        StepEventKind::Expanded { items } => {
            must!(
                matches!(step.state, State::Ready { .. } | State::Failed),
                "step `{id}` expands while {:?}",
                step.state
            );
            if step.children == 0 {
                step.children = items.len();
            }
            step.state = State::Expanded;
        }
        StepEventKind::AttemptStarted { attempt, key, resources, .. } => {
            must!(whole == Phase::Active, "step `{id}` is claimed in a run that is {whole:?}");
            let State::Ready { not_before } = step.state else {
                return Err(format!("step `{id}` is claimed while {:?}", step.state));
            };
            must!(has_jumped || not_before <= at, "step `{id}` is claimed at {at}, before {not_before}");
            must!(fence.0 == step.fence + 1, "step `{id}`: fence {} follows {}", fence.0, step.fence);
            must!(*attempt == step.attempts + 1, "step `{id}`: attempt {attempt} follows {}", step.attempts);
            let wanted: BTreeMap<&String, u64> = spec.resources.iter().map(|(pool, units)| (pool, *units)).collect();
            let given = resources.iter().map(|(pool, units)| {
                (pool, if pool == "gpu" { units.len() as u64 } else { units[0].parse().unwrap_or(0) })
            });
            must!(wanted == given.collect(), "step `{id}` asks for {wanted:?} and gets {resources:?}");
            (step.fence, step.attempts, step.key) = (fence.0, *attempt, Some(key.clone()));
            step.state = State::Leased { started_at: at, resources: resources.clone() };
        }
        StepEventKind::AttemptSpawned { .. } | StepEventKind::Note { .. } => {
            must!(attempt(fence) == (true, true), "step `{id}`: {event:?} without its lease");
        }
        StepEventKind::AttemptRewound { last_step } => {
            must!(attempt(fence) == (true, true), "step `{id}` is rewound without its lease");
            step.checkpoints.retain(|kept| kept <= last_step);
        }
        StepEventKind::CheckpointCommitted { checkpoint } => {
            must!(attempt(fence) == (true, true), "step `{id}`: a checkpoint without its lease");
            let last_step = checkpoint.last_step.unwrap_or(0);
            if step.checkpoints.last() != Some(&last_step) {
                step.losses = 0;
            }
            must!(step.checkpoints.iter().all(|kept| *kept <= last_step), "step `{id}`: checkpoints go back");
            step.checkpoints.push(last_step);
        }
        StepEventKind::CheckpointAdopted { checkpoint, .. } => step.adopted = checkpoint.last_step,
        StepEventKind::AttemptFailed { failure } => {
            must!(attempt(fence) == (true, true), "step `{id}`: a failure without its lease");
            check_timeout(step, &spec, failure.kind, at, has_jumped)?;
            step.failures += 1;
            let may_retry = step.failures < spec.retry.maximum_attempts
                && !matches!(
                    failure.kind,
                    FailureKind::Fatal | FailureKind::ScheduleToClose | FailureKind::OutOfMemory
                );
            let exponent = i32::try_from(step.failures).unwrap_or(i32::MAX) - 1;
            let pause = spec.retry.initial_interval.as_secs_f64() * spec.retry.backoff_coefficient.powi(exponent);
            let pause = Duration::from_secs_f64(pause.min(spec.retry.maximum_interval.as_secs_f64()));
            step.state = State::Ended { retry_at: Some(if may_retry { at + pause } else { Timestamp::MAX }) };
        }
        StepEventKind::AttemptReleased { reason, .. } => {
            must!(attempt(fence) == (true, true), "step `{id}` is released without its lease");
            if reason.contains("died") {
                step.losses += 1;
                must!(step.losses <= 20, "step `{id}` has taken {} engines down", step.losses);
            }
            step.state = State::Ended { retry_at: None };
        }
        StepEventKind::Reused { .. } => {
            must!(matches!(step.state, State::Ready { .. }), "step `{id}` is reused while {:?}", step.state);
            step.state = State::Succeeded;
        }
        StepEventKind::Waiting { wait } => {
            let may = matches!(
                step.state,
                State::Ready { .. } | State::Decided { verdict: Verdict::Rejected, by_person: false }
            );
            must!(may, "step `{id}` waits while {:?}", step.state);
            if let Wait::Run { run } = wait {
                must!(step.runs.last() == Some(run), "step `{id}` waits for {run}, not for its own child run");
            }
            step.state = State::Waiting(wait.clone());
        }
        StepEventKind::Decided { ruling } => {
            let asked = matches!(step.state, State::Ready { .. } | State::Waiting(Wait::Approval { .. }));
            must!(asked, "step `{id}` is decided while {:?}", step.state);
            mark(marks, ruling.approver.as_deref().unwrap_or_default());
            step.state = State::Decided { verdict: ruling.verdict, by_person: ruling.approver.is_some() };
        }
        StepEventKind::Skipped { .. } => {
            must!(
                matches!(step.state, State::Pending | State::Ready { .. }),
                "step `{id}` is skipped while {:?}",
                step.state
            );
            step.state = State::Skipped;
        }
        StepEventKind::Canceled => {
            must!(whole == Phase::Canceling, "step `{id}` is canceled in a run that is {whole:?}");
            step.state = State::Canceled;
        }
        StepEventKind::Failed { failure } => {
            match &step.state {
                State::Ended { retry_at: Some(at) } => {
                    must!(*at == Timestamp::MAX, "step `{id}` fails although it has retries left: {failure:?}");
                }
                State::Ended { retry_at: None } => must!(step.losses >= 20, "step `{id}` fails after a release"),
                State::Expanded => must!(!children_settled, "step `{id}` fails without a failed child"),
                State::Decided { verdict, .. } => must!(*verdict == Verdict::Rejected, "an approved step `{id}` fails"),
                State::Ready { .. } | State::Waiting(_) => check_timeout(step, &spec, failure.kind, at, has_jumped)?,
                other => return Err(format!("step `{id}` fails while {other:?}")),
            }
            step.state = State::Failed;
        }
        StepEventKind::Succeeded { outputs } => {
            match &step.state {
                State::Leased { .. } => {
                    must!(fence.0 == step.fence, "step `{id}` succeeds under an old fence");
                    let attempt = AttemptId { run: run.id, step: id.clone(), fence };
                    let sent = witness.done(&attempt);
                    must!(
                        spec.kind != "command" || sent == Some(outputs),
                        "{attempt} has sent {sent:?}, not {outputs:?}"
                    );
                }
                State::Expanded => must!(children_settled, "step `{id}` succeeds before its children"),
                State::Decided { verdict, by_person } => {
                    must!(*verdict == Verdict::Approved || !by_person, "step `{id}` was rejected and succeeds");
                }
                State::Waiting(Wait::Run { .. }) => {}
                State::Waiting(Wait::Signal { name }) => {
                    let payload = outputs.values.get("payload").cloned().unwrap_or_default();
                    let oldest = run.signals.iter().position(|(other, _)| other == name);
                    let oldest = oldest.ok_or_else(|| format!("step `{id}` has a signal that nobody sent"))?;
                    let (_, sent) = run.signals.remove(oldest);
                    must!(sent == payload, "step `{id}` has {payload}, and the oldest signal is {sent}");
                }
                other => return Err(format!("step `{id}` succeeds while {other:?}")),
            }
            step.state = State::Succeeded;
        }
    }
    Ok(())
}

/// Checks that a timeout in the log has really expired.
fn check_timeout(step: &Step, spec: &StepSpec, kind: FailureKind, at: Timestamp, has_jumped: bool) -> Checked {
    let since = match (kind, &step.state) {
        (FailureKind::ScheduleToClose, _) => step.ready_since.zip(spec.timeout.schedule_to_close),
        (FailureKind::Timeout, State::Leased { started_at, .. }) => Some(*started_at).zip(spec.timeout.start_to_close),
        _ => return Ok(()),
    };
    let Some((since, limit)) = since else { return Err(format!("{kind:?} of a step without a limit")) };
    must!(has_jumped || since + limit <= at, "{kind:?} at {at}, before {since} + {limit:?}");
    Ok(())
}

fn mark(marks: &mut BTreeMap<String, u32>, text: &str) {
    if text.starts_with("mark ") {
        *marks.entry(text.to_owned()).or_default() += 1;
    }
}
