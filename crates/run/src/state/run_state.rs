//! The state of one run in memory: like the tables, a projection of its events. `decide` reads it; only
//! `apply` changes it, apart from lease extensions, which are not events.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::classes::{ClassIndex, classify};
use super::deadlines::Deadlines;
use super::step::{Lease, Step, StepIndex, StepState};
use crate::event::{Alert, Event, RunEvent, Wait};
use stepwell_base::duration::later;
use stepwell_base::failure::Failure;
use stepwell_base::ids::{Fence, RunId, StepId};
use stepwell_workflow::budget::Budget;
use stepwell_workflow::catalog::Placement;
use stepwell_workflow::limits::Class;
use stepwell_workflow::spec::{StepSpec, WorkflowSpec};

/// The part of a run's state that decides whether steps can be claimed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lifecycle {
    Active,
    /// No step is claimed until the run is resumed.
    Interrupted,
    /// Like `Interrupted`, but only an explicit resume ends it.
    Paused,
    /// Attempts are being ended; then the run is canceled.
    Canceling,
}

/// A signal that no step has taken yet.
#[derive(Clone, PartialEq, Debug)]
pub struct Signal {
    pub name: String,
    pub payload: Value,
}

#[derive(Clone, PartialEq, Debug)]
pub enum RunEnd {
    Succeeded,
    Failed { step: StepId, failure: Failure },
    Canceled,
}

/// A run with everything that scheduling needs, indexed so that a chain of n steps costs O(n log n).
#[derive(Clone, PartialEq, Debug)]
pub struct RunState {
    pub run: RunId,
    pub lifecycle: Lifecycle,
    pub started: bool,
    pub end: Option<RunEnd>,
    pub(crate) spec: Arc<WorkflowSpec>,
    pub(crate) steps: Vec<Step>,
    index: HashMap<StepId, StepIndex>,
    /// By spec index: the steps that need the step.
    dependents: Vec<Vec<StepIndex>>,
    classes: Vec<Class>,
    /// By spec index: the class of the step's attempts, and the class of its expansion if it is a fan-out.
    class_of: Vec<(ClassIndex, ClassIndex)>,
    /// Ready steps by class and time, without empty sets. A million steps that wait for one pool share one entry.
    ready: BTreeMap<ClassIndex, BTreeSet<(Timestamp, StepIndex)>>,
    /// Deadlines from `timeout.schedule_to_close`.
    pub(crate) deadlines: Deadlines,
    /// Time of the event that is being applied.
    pub(crate) clock: Timestamp,
    /// Total working time of all attempts that have ended.
    pub compute: SignedDuration,
    pub alerts: Vec<Alert>,
    /// The budget in force: the workflow's, or the one to which a person raised it.
    pub budget: Budget,
    pub(crate) leased: BTreeSet<StepIndex>,
    pub(crate) waiting: BTreeSet<StepIndex>,
    /// In order of arrival.
    signals: VecDeque<Signal>,
    /// Number of steps that wait for the end of a child run.
    child_runs: usize,
    /// Steps that are not terminal.
    pub(crate) live: BTreeSet<StepIndex>,
    pub(crate) failed: BTreeSet<StepIndex>,
    /// Steps that recent events may have settled; see `decide::consequence`.
    pub(crate) due: BTreeSet<StepIndex>,
}

impl RunState {
    /// The state right after `RunEvent::Submitted`, before the first `StepEventKind::Ready`. `placement` maps step
    /// kinds.
    pub fn new(run: RunId, spec: Arc<WorkflowSpec>, placement: impl Fn(&str) -> Placement) -> RunState {
        let count = spec.steps.len();
        let index: HashMap<StepId, StepIndex> =
            spec.steps.iter().enumerate().map(|(i, step)| (step.id.clone(), i)).collect();
        let mut dependents = vec![Vec::new(); count];
        let mut steps = Vec::with_capacity(count);
        for (i, step) in spec.steps.iter().enumerate() {
            for need in &step.needs {
                if let Some(&need) = index.get(need) {
                    dependents[need].push(i);
                }
            }
            steps.push(Step::new(step.id.clone(), i, StepState::Pending { unmet: step.needs.len() }));
        }
        let (classes, class_of) = classify(&spec, placement);
        let budget = spec.budget;
        let due = (0..count).filter(|&i| spec.steps[i].needs.is_empty()).collect();
        RunState {
            run,
            lifecycle: Lifecycle::Active,
            started: false,
            end: None,
            spec,
            steps,
            index,
            dependents,
            classes,
            class_of,
            ready: BTreeMap::new(),
            deadlines: Deadlines::default(),
            clock: Timestamp::UNIX_EPOCH,
            compute: SignedDuration::ZERO,
            alerts: Vec::new(),
            budget,
            leased: BTreeSet::new(),
            waiting: BTreeSet::new(),
            signals: VecDeque::new(),
            child_runs: 0,
            live: (0..count).collect(),
            failed: BTreeSet::new(),
            due,
        }
    }

    pub fn spec(&self) -> &Arc<WorkflowSpec> {
        &self.spec
    }

    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.index.get(id).map(|&i| &self.steps[i])
    }

    pub fn step_at(&self, index: StepIndex) -> &Step {
        &self.steps[index]
    }

    pub fn step_spec(&self, step: &Step) -> &StepSpec {
        &self.spec.steps[step.spec]
    }

    pub(crate) fn find(&self, id: &StepId) -> Option<StepIndex> {
        self.index.get(id).copied()
    }

    /// Children of a fan-out step in item order.
    pub fn children(&self, step: &Step) -> &[Step] {
        &self.steps[step.children.clone()]
    }

    pub fn leases(&self) -> impl Iterator<Item = (&Step, &Lease)> {
        self.leased.iter().filter_map(|&i| match &self.steps[i].state {
            StepState::Leased(lease) => Some((&self.steps[i], lease)),
            _ => None,
        })
    }

    pub fn waits(&self) -> impl Iterator<Item = (&Step, &Wait)> {
        self.waiting.iter().filter_map(|&i| match &self.steps[i].state {
            StepState::Waiting(wait) => Some((&self.steps[i], wait)),
            _ => None,
        })
    }

    /// The oldest signal with this name.
    pub(crate) fn signal(&self, name: &str) -> Option<&Signal> {
        self.signals.iter().find(|signal| signal.name == name)
    }

    /// Stores a signal for the first step that waits for it.
    pub(crate) fn add_signal(&mut self, signal: Signal) {
        let name = signal.name.clone();
        self.signals.push_back(signal);
        self.wake_for(&name);
    }

    /// If a signal with this name is stored, marks the first step that waits for it and is not due yet as due.
    pub(crate) fn wake_for(&mut self, name: &str) {
        let waits = |i: StepIndex| self.awaited_signal(i) == Some(name) && !self.due.contains(&i);
        if self.signal(name).is_some()
            && let Some(&i) = self.waiting.iter().find(|&&i| waits(i))
        {
            self.due.insert(i);
        }
    }

    pub(crate) fn awaited_signal(&self, i: StepIndex) -> Option<&str> {
        match &self.steps[i].state {
            StepState::Waiting(Wait::Signal { name }) => Some(name),
            _ => None,
        }
    }

    /// Makes a step wait; if its signal is already stored, the step is due at once.
    pub(crate) fn start_waiting(&mut self, i: StepIndex, wait: Wait) {
        let signal_is_stored = matches!(&wait, Wait::Signal { name } if self.signal(name).is_some());
        self.set(i, StepState::Waiting(wait));
        if signal_is_stored {
            self.due.insert(i);
        }
    }

    /// Removes the oldest signal that the step waits for.
    pub(crate) fn take_signal(&mut self, i: StepIndex) {
        if let Some(name) = self.awaited_signal(i)
            && let Some(oldest) = self.signals.iter().position(|signal| signal.name == name)
        {
            self.signals.remove(oldest);
        }
    }

    /// True when nothing can happen until somebody or something outside the engine acts.
    pub fn only_waits(&self) -> bool {
        self.end.is_none() && !self.has_ready() && self.leased.is_empty() && !self.waiting.is_empty()
    }

    pub fn awaits_runs(&self) -> bool {
        self.child_runs > 0
    }

    /// The earliest-due ready step of each class that has any, even if that time is in the future.
    pub fn ready_heads(&self) -> impl Iterator<Item = (ClassIndex, Timestamp, StepIndex)> {
        self.ready.iter().filter_map(|(&class, steps)| steps.first().map(|&(at, i)| (class, at, i)))
    }

    /// The earliest-due ready step of a class.
    pub fn ready_head(&self, class: ClassIndex) -> Option<(Timestamp, StepIndex)> {
        self.ready.get(&class)?.first().copied()
    }

    pub fn class(&self, class: ClassIndex) -> &Class {
        &self.classes[class]
    }

    /// The class in which the step competes when it is ready.
    pub fn class_of(&self, step: &Step) -> ClassIndex {
        let (attempt, expansion) = self.class_of[step.spec];
        if step.parent.is_none() && self.spec.steps[step.spec].for_each.is_some() { expansion } else { attempt }
    }

    /// True once `timeout.schedule_to_close` of the step has passed.
    pub fn is_too_late(&self, step: &Step, now: Timestamp) -> bool {
        self.schedule_deadline(step).is_some_and(|deadline| deadline <= now)
    }

    /// The deadline of the step across all attempts. A fan-out has none: each child has its own.
    pub fn schedule_deadline(&self, step: &Step) -> Option<Timestamp> {
        let spec = self.step_spec(step);
        if step.parent.is_none() && spec.for_each.is_some() {
            return None;
        }
        Some(later(step.ready_since?, spec.timeout.schedule_to_close?))
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Returns `RunEvent::Started` unless the log already contains it.
    pub(crate) fn start_event(&self) -> Option<Event> {
        (!self.started).then_some(RunEvent::Started.into())
    }

    pub fn is_canceling(&self) -> bool {
        self.end.is_none() && self.lifecycle == Lifecycle::Canceling
    }

    /// Extends a lease. This is not an event, because history needs only the end of a lease.
    pub fn extend_lease(&mut self, id: &StepId, fence: Fence, until: Timestamp) {
        if let Some(i) = self.find(id)
            && let StepState::Leased(lease) = &mut self.steps[i].state
            && lease.fence == fence
        {
            lease.expires_at = until;
        }
    }

    pub(crate) fn dependents(&self, i: StepIndex) -> Vec<StepIndex> {
        // Children have no dependents: other steps depend on their parent.
        self.dependents.get(i).cloned().unwrap_or_default()
    }

    /// Appends one child per item. Children of a parent are contiguous and in item order.
    pub(crate) fn add_children(&mut self, parent: StepIndex, items: &[Value]) {
        self.add_some_children(parent, items.iter().cloned().enumerate());
    }

    pub(crate) fn add_some_children(&mut self, parent: StepIndex, items: impl IntoIterator<Item = (usize, Value)>) {
        let first = self.steps.len();
        for (position, item) in items {
            let mut child = Step::new(
                self.steps[parent].id.child(position),
                self.steps[parent].spec,
                StepState::Pending { unmet: 0 },
            );
            child.parent = Some(parent);
            child.item = Some((position, item));
            let i = self.steps.len();
            self.index.insert(child.id.clone(), i);
            self.steps.push(child);
            self.live.insert(i);
            self.due.insert(i);
        }
        self.steps[parent].children = first..self.steps.len();
    }

    /// Restarts `timeout.schedule_to_close` at `since`.
    pub(crate) fn count_from(&mut self, i: StepIndex, since: Timestamp) {
        self.deadlines.remove(i, &self.steps[i].state, self.schedule_deadline(&self.steps[i]));
        self.steps[i].ready_since = Some(since);
        self.deadlines.add(i, &self.steps[i].state, self.schedule_deadline(&self.steps[i]));
    }

    /// The only way to change a step's state: it updates every index, and the step is no longer due.
    pub(crate) fn set(&mut self, i: StepIndex, next: StepState) {
        self.due.remove(&i);
        let class = self.class_of(&self.steps[i]);
        let deadline = self.schedule_deadline(&self.steps[i]);
        self.deadlines.remove(i, &self.steps[i].state, deadline);
        self.deadlines.add(i, &next, deadline);
        match &self.steps[i].state {
            StepState::Ready { not_before } => {
                if let Some(ready) = self.ready.get_mut(&class) {
                    ready.remove(&(*not_before, i));
                    if ready.is_empty() {
                        self.ready.remove(&class);
                    }
                }
            }
            StepState::Leased(lease) => {
                self.compute += lease.worked(self.clock);
                self.leased.remove(&i);
            }
            StepState::Waiting(wait) => {
                self.child_runs -= usize::from(matches!(wait, Wait::Run { .. }));
                self.waiting.remove(&i);
            }
            StepState::Failed(_) => drop(self.failed.remove(&i)),
            _ => {}
        }
        match &next {
            StepState::Ready { not_before } => drop(self.ready.entry(class).or_default().insert((*not_before, i))),
            StepState::Leased(_) => drop(self.leased.insert(i)),
            StepState::Waiting(wait) => {
                self.child_runs += usize::from(matches!(wait, Wait::Run { .. }));
                self.waiting.insert(i);
            }
            StepState::Failed(_) => drop(self.failed.insert(i)),
            _ => {}
        }
        if next.is_terminal() {
            self.live.remove(&i);
        } else {
            self.live.insert(i);
        }
        self.steps[i].state = next;
    }
}
