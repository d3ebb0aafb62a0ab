//! Child runs: the engine submits one per step, drives it with its parent, and tells the parent when it ends.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::executors::Executor;
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::Failure;
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::names::RunName;
use stepwell_run::command::Command;
use stepwell_run::decide::child_failure;
use stepwell_run::event::{PauseCause, Wait};
use stepwell_run::project::Project;
use stepwell_run::run_options::{Origin, Reuse, RunOptions};
use stepwell_run::state::{Lifecycle, RunEnd, StepState};
use stepwell_steps::catalog;
use stepwell_store::{NewRun, Reader, StoreError, Submitted};
use stepwell_workflow::diagnostic::{Problem, SpecErrors};
use stepwell_workflow::key;
use stepwell_workflow::parse;
use stepwell_workflow::spec::WorkflowSpec;

use crate::clock::Clock;
use crate::engine::Engine;
use crate::engine::state::run::Run;
use crate::error::EngineError;
use crate::options::Scope;

impl<X: Executor, C: Clock> Engine<'_, X, C> {
    /// Claims ready steps, including steps of child runs that the claims start or end.
    pub(crate) fn schedule_steps(&mut self) -> Result<(), EngineError> {
        self.propagate()?;
        loop {
            self.claim()?;
            if !self.propagate()? {
                return Ok(());
            }
        }
    }

    /// True if this engine claims steps of the run.
    pub(crate) fn drives(&self, run: RunId) -> bool {
        match self.options.scope {
            Scope::All { .. } => true,
            Scope::Requests => false,
            Scope::Run(wanted) => {
                run == wanted || self.runs.get(&run).is_some_and(|run| run.ancestors.contains(&wanted))
            }
        }
    }

    /// Submits the child run of a ready step and makes the step wait for it. An idempotency key guarantees at most one
    /// child run, even when the engine dies in between.
    pub(crate) fn start_child(
        &mut self,
        parent: RunId,
        step: StepId,
        params: &Map<String, Value>,
    ) -> Result<(), EngineError> {
        // The sources of the params must be durable before the child run is.
        self.flush()?;
        let Some(run) = self.runs.get(&parent) else { return Ok(()) };
        let child = match child_spec(run, &step, params) {
            Ok(spec) => self.submit_child(parent, &step, spec)?,
            Err(failure) => Err(failure),
        };
        match child {
            Ok(child) => self.handle(parent, Command::Wait { step, wait: Wait::Run { run: child } }),
            Err(failure) => self.handle(parent, Command::Reject { step, failure }),
        }
        Ok(())
    }

    fn submit_child(
        &mut self,
        parent: RunId,
        step: &StepId,
        spec: WorkflowSpec,
    ) -> Result<Result<RunId, Failure>, EngineError> {
        for start in 1u32.. {
            let Some(run) = self.runs.get(&parent) else { break };
            let new = new_child(run, step, &spec, start, (RunId(self.clock.new_id()), self.clock.wall()));
            let (id, name) = (new.id, new.name.clone());
            let child = match self.store.submit(new) {
                Ok(Submitted::New) => id,
                Ok(Submitted::Existing(child)) => child,
                Err(StoreError::NameActive { run, .. }) => {
                    let failure =
                        Failure::fatal(format!("the child run cannot be named {name}: run {run} has that name"));
                    return Ok(Err(failure
                        .with_hint(format!("end it with `stepwell cancel {run}`, then `stepwell resume {parent}`"))));
                }
                Err(error @ StoreError::Unstorable { .. }) => {
                    return Ok(Err(Failure::fatal(format!("the child run cannot be started: {error}"))));
                }
                Err(error) => return Err(error.into()),
            };
            if let Err(why) = self.load_readable(child)? {
                return Ok(Err(unreadable(child, &why)));
            }
            match self.runs.get(&child).and_then(|run| run.state.end.as_ref()) {
                // The step was retried. A canceled run cannot be resumed, so the step needs another child run.
                Some(RunEnd::Canceled) => drop(self.runs.remove(&child)),
                Some(RunEnd::Failed { .. }) => {
                    self.handle(child, Command::Resume);
                    return Ok(Ok(child));
                }
                Some(RunEnd::Succeeded) | None => return Ok(Ok(child)),
            }
        }
        Ok(Err(Failure::fatal(format!("run {parent} is gone"))))
    }

    /// Passes state changes between parents and children. Returns true if anything changed.
    pub(crate) fn propagate(&mut self) -> Result<bool, EngineError> {
        let mut passed_on = false;
        while let Some((parent, step, child)) = self.family.next() {
            passed_on |= self.propagate_one(parent, step, child)?;
        }
        Ok(passed_on)
    }

    /// Adds a loaded run to memory.
    pub(crate) fn take_in(&mut self, id: RunId, run: Run) {
        self.runs.insert(id, run);
        self.queue_propagation(id);
    }

    /// Queues a check of the parent and the child runs after a run was loaded or its lifecycle changed.
    pub(crate) fn queue_propagation(&mut self, id: RunId) {
        let Some(run) = self.runs.get(&id) else { return };
        for (step, wait) in run.state.waits() {
            if let Wait::Run { run: child } = wait {
                self.family.awaits(id, step.id.clone(), *child);
            }
        }
        if let Some((parent, step)) = run.started_by() {
            self.family.awaits(parent, step, id);
            // A step does not time out while its child run is ending.
            self.runs.touch(parent);
        }
    }

    fn is_awaited(&self, parent: RunId, step: &StepId, child: RunId) -> bool {
        let parent = self.runs.get(&parent).filter(|run| run.state.end.is_none());
        let waiting = StepState::Waiting(Wait::Run { run: child });
        parent.and_then(|run| run.state.step(step)).is_some_and(|step| step.state == waiting)
    }

    fn propagate_one(&mut self, parent: RunId, step: StepId, child: RunId) -> Result<bool, EngineError> {
        if !self.is_awaited(parent, &step, child) {
            return Ok(false);
        }
        let known = self.runs.contains_key(&child);
        if let Err(why) = self.load_readable(child)? {
            let result = Err(unreadable(child, &why));
            self.handle(parent, Command::ChildEnded { step, run: child, result });
            return Ok(true);
        }
        // The outputs of the child, or the cause of its pause, may be decided but not yet written.
        let in_store = |run: &Run| run.is_partly_in_store() || run.state.lifecycle == Lifecycle::Paused;
        if self.runs.get(&child).is_some_and(in_store) && self.must_commit() {
            self.flush()?;
        }
        let (Some(above), Some(below)) = (self.runs.get(&parent), self.runs.get(&child)) else { return Ok(false) };
        if below.state.end.is_some() {
            let result = result_of(below, self.store.reader());
            self.handle(parent, Command::ChildEnded { step, run: child, result });
            return Ok(true);
        }
        let command = match (above.state.lifecycle, below.state.lifecycle) {
            (_, Lifecycle::Canceling) => None,
            (Lifecycle::Canceling, _) => Some(Command::Cancel),
            (Lifecycle::Paused, Lifecycle::Active | Lifecycle::Interrupted) => {
                Some(Command::Pause { cause: PauseCause::Parent, reason: "its parent run is paused".to_owned() })
            }
            (Lifecycle::Active, Lifecycle::Interrupted) if self.may_resume(parent) => Some(Command::Resume),
            (Lifecycle::Active, Lifecycle::Paused) if self.may_resume(parent) && self.paused_with_parent(child)? => {
                Some(Command::Resume)
            }
            _ => None,
        };
        let passed_on = command.is_some();
        if let Some(command) = command {
            self.handle(child, command);
        }
        Ok(passed_on || !known)
    }

    fn may_resume(&self, parent: RunId) -> bool {
        self.stopping.is_none() && self.drives(parent)
    }

    /// True if the child was paused with its parent. A child that a person paused stays paused.
    fn paused_with_parent(&self, child: RunId) -> Result<bool, EngineError> {
        Ok(self.store.reader().pause_cause(child)? == Some(PauseCause::Parent))
    }
}

fn unreadable(child: RunId, why: &str) -> Failure {
    Failure::fatal(format!("the child run {child} cannot be read: {why}"))
        .with_hint("`stepwell db check` lists the damage; restore the state with `stepwell db restore BACKUP`")
}

fn child_spec(parent: &Run, step: &StepId, params: &Map<String, Value>) -> Result<WorkflowSpec, Failure> {
    let pinned = parent.state.step(step).and_then(|step| parent.state.step_spec(step).child.as_ref());
    let pinned = pinned.ok_or_else(|| Failure::fatal("the run was submitted without the workflow of this step"))?;
    parse::child_workflow(pinned, params, &catalog()).map_err(|errors| invalid(&errors))
}

fn invalid(errors: &SpecErrors) -> Failure {
    let place =
        |problem: &Problem| problem.position().map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
    let lines = errors.problems().iter();
    let lines: Vec<String> = lines.map(|problem| format!("{}{}: {problem}", errors.file(), place(problem))).collect();
    let failure = Failure::fatal(format!("the child run cannot be started: {}", lines.join("; ")));
    match errors.problems().iter().find_map(|problem| problem.hint_text()) {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// Describes a child run of a step. `start` counts the step's child runs: only a canceled one leads to another.
fn new_child(parent: &Run, step: &StepId, spec: &WorkflowSpec, start: u32, (id, at): (RunId, Timestamp)) -> NewRun {
    let run = parent.state.run;
    let reuse = if parent.options.reuse == Reuse::Never { Reuse::Never } else { Reuse::Allowed };
    NewRun {
        id,
        name: RunName::child(&parent.name, step),
        spec: spec.clone(),
        spec_digest: key::spec_digest(spec),
        idempotency_key: Some(format!("child {start} of {run}/{step}")),
        options: RunOptions {
            priority: parent.options.priority,
            reuse,
            origin: Some(Origin::Child { run, step: step.clone() }),
            project: child_project(parent, step),
        },
        at,
    }
}

/// The project of a child run: the folder of the child's own file.
fn child_project(parent: &Run, step: &StepId) -> Option<Project> {
    let folder = &parent.state.step_spec(parent.state.step(step)?).child.as_ref()?.folder;
    let is_file = !folder.as_os_str().is_empty();
    is_file.then(|| {
        parent.options.project.as_ref().map_or_else(|| Project::new(folder.clone()), |own| own.of_child(folder))
    })
}

fn result_of(child: &Run, reader: &Reader) -> Result<Outputs, Failure> {
    let id = child.state.run;
    match &child.state.end {
        Some(RunEnd::Failed { step, failure }) => Err(child_failure(&child.name, id, Some((step, failure)))),
        Some(RunEnd::Canceled) => Err(child_failure(&child.name, id, None)),
        Some(RunEnd::Succeeded) | None => child.outputs(reader),
    }
}
