//! A run in the engine's memory.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;

use stepwell_base::artifact::Outputs;
use stepwell_base::failure::{Failure, FailureKind, too_much};
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::json::check_values;
use stepwell_run::apply::apply;
use stepwell_run::run_options::{Origin, RunOptions};
use stepwell_run::state::{ChildSteps, Lifecycle, RunState, Step, StepState};
use stepwell_steps::find;
use stepwell_store::{Reader, StoreError};
use stepwell_workflow::catalog::Placement;
use stepwell_workflow::template::{self, Named, StepOutputs, TemplateContext};

use crate::error::EngineError;
use crate::rows::state_from_rows;

/// Items and outputs of the children of fan-outs, in item order.
pub(crate) type Stored = BTreeMap<StepId, BTreeMap<usize, (Value, Outputs)>>;

pub(crate) struct Run {
    pub name: String,
    pub priority: i32,
    pub submitted_at: Timestamp,
    /// The time that the run is for: the due time of its schedule, or else its submission.
    pub scheduled_at: Timestamp,
    /// Duration of equal steps in earlier runs, by position; known only when something depends on it.
    pub usual: HashMap<usize, Duration>,
    /// Time and value of the last estimate of the time to the end.
    pub estimated: Option<(Instant, Option<Duration>)>,
    pub state: RunState,
    pub options: RunOptions,
    /// The run whose step started this one, and its ancestors upwards.
    pub ancestors: Vec<RunId>,
    /// True once the accounts that pay for the run are open.
    pub accounted: bool,
}

impl Run {
    /// Loads a run from the store.
    ///
    /// # Errors
    /// When the run is unknown or unreadable.
    pub(crate) fn load(reader: &Reader, id: RunId) -> Result<Run, EngineError> {
        let row = reader.run(id)?;
        if let Some(at) = row.pruned_at {
            return Err(StoreError::Pruned { run: id, at }.into());
        }
        let spec = Arc::new(reader.spec(id)?);
        let steps = reader.unfinished(id)?;
        let mut state = state_from_rows(spec, &row, &steps, placement);
        state.restore_signals(reader.free_signals(id)?);
        let mut usual = HashMap::new();
        if state.spec().sla.is_some() || !state.spec().budget.is_unlimited() {
            state.compute = reader.compute(id)?;
            usual = reader.usual_durations(id)?;
        }
        for notice in reader.notices(id)? {
            apply(&mut state, notice.at, &notice.event);
        }
        Ok(Run {
            name: row.name.clone(),
            priority: row.options.priority,
            submitted_at: row.created_at,
            scheduled_at: row.scheduled_at(),
            usual,
            estimated: None,
            state,
            ancestors: if row.parent().is_some() { reader.ancestors(id)? } else { Vec::new() },
            accounted: false,
            options: row.options,
        })
    }

    /// The state that its parent and its child runs depend on.
    pub(crate) fn standing(&self) -> (Lifecycle, bool) {
        (self.state.lifecycle, self.state.end.is_some())
    }

    /// The step of another run that waits for this one.
    pub(crate) fn started_by(&self) -> Option<(RunId, StepId)> {
        match &self.options.origin {
            Some(Origin::Child { run, step }) => Some((*run, step.clone())),
            _ => None,
        }
    }

    /// Folder of the workflow file, or an empty path for a workflow without a file.
    pub(crate) fn project_folder(&self) -> &Path {
        self.options.project.as_ref().map_or(Path::new(""), |project| &project.folder)
    }

    /// Training step from which a fork continues `step`.
    pub(crate) fn forked_at(&self, step: &StepId) -> Option<u64> {
        self.options.origin.as_ref()?.forked_at(step)
    }

    /// The workflow's own outputs, once it has succeeded.
    pub(crate) fn outputs(&self, reader: &Reader) -> Result<Outputs, Failure> {
        let state = &self.state;
        let spec = state.spec();
        let named = Named::by_table(&spec.outputs);
        let fan_outs = self.in_store(spec.steps.iter().map(|spec| &spec.id)).filter(|id| named.includes(id));
        let stored = fan_outs.map(|id| Ok((id.clone(), reader.child_outputs(state.run, id)?)));
        let stored: Stored = stored
            .collect::<Result<_, StoreError>>()
            .map_err(|error| Failure::from_error(FailureKind::Retryable, &error))?;
        let all = spec.steps.iter().filter_map(|spec| self.needed(&spec.id, &stored));
        let steps: BTreeMap<StepId, StepOutputs<'_>> = all.collect();
        let (params, run) = (&spec.params, (state.run, self.name.as_str()));
        let scheduled_at = self.scheduled_at;
        // `validate` rejects secrets here and in the expressions below.
        let secrets = BTreeMap::new();
        let context =
            TemplateContext { params, secrets: &secrets, steps: &steps, run, scheduled_at, item: None, files: None };
        let outputs = template::outputs(&spec.outputs, &context)?;
        match check_values(outputs.values.values()) {
            Ok(()) => Ok(outputs),
            Err(error) => Err(too_much("the outputs of the workflow", error)),
        }
    }

    fn in_store<'a>(&self, steps: impl Iterator<Item = &'a StepId>) -> impl Iterator<Item = &'a StepId> {
        steps.filter(|id| self.state.step(id).is_some_and(|step| step.children_in_store))
    }

    /// True if some outputs of a fan-out are not in memory.
    pub(crate) fn is_partly_in_store(&self) -> bool {
        self.in_store(self.state.spec().steps.iter().map(|spec| &spec.id)).next().is_some()
    }

    /// Fan-outs whose outputs a step reads and which are not all in memory. Outputs of steps that it only waits for
    /// stay in the store: every child of a fan-out may need one of 100,000 others.
    pub(crate) fn reads_from_store(&self, step: &Step) -> Vec<StepId> {
        let spec = self.state.step_spec(step);
        let mut needs = self.in_store(spec.needs.iter()).peekable();
        if needs.peek().is_none() {
            return Vec::new();
        }
        let named = Named::by_step(spec);
        needs.filter(|id| named.includes(id)).cloned().collect()
    }

    fn needed<'a>(&'a self, id: &StepId, stored: &'a Stored) -> Option<(StepId, StepOutputs<'a>)> {
        let outputs = match stored.get(id) {
            Some(children) => StepOutputs::Many(Rc::new(children)),
            None => outputs(&self.state, self.state.step(id)?),
        };
        Some((id.clone(), outputs))
    }

    /// Evaluates a function in the context of a step: its params, its needs, its item. `stored` has the outputs of
    /// [`Run::reads_from_store`].
    pub(crate) fn with_context<T>(
        &self,
        step: &Step,
        stored: &Stored,
        evaluate: impl FnOnce(&TemplateContext<'_>) -> T,
    ) -> T {
        let state = &self.state;
        let spec = state.step_spec(step);
        let needed = spec.needs.iter().filter_map(|id| self.needed(id, stored));
        let steps: BTreeMap<StepId, StepOutputs<'_>> = needed.collect();
        let item = step.item.as_ref().map(|(position, item)| (item, *position));
        let (params, run) = (&state.spec().params, (state.run, self.name.as_str()));
        let (secrets, scheduled_at) = (BTreeMap::new(), self.scheduled_at);
        evaluate(&TemplateContext { params, secrets: &secrets, steps: &steps, run, scheduled_at, item, files: None })
    }
}

fn outputs<'a>(state: &'a RunState, step: &'a Step) -> StepOutputs<'a> {
    match &step.state {
        StepState::Succeeded { outputs } if state.step_spec(step).for_each.is_none() => StepOutputs::One(outputs),
        StepState::Succeeded { .. } => StepOutputs::Many(Rc::new(ChildSteps(state.children(step)))),
        _ => StepOutputs::Skipped,
    }
}

/// Returns where attempts of a kind run. An unknown kind fails in its attempt, with a message.
pub(crate) fn placement(kind: &str) -> Placement {
    find(kind).map_or(Placement::InProcess, |handler| handler.placement())
}
