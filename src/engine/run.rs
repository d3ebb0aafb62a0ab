//! A run in the engine's memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::artifact::Outputs;
use crate::core::catalog::Placement;
use crate::core::ids::{RunId, StepId};
use crate::core::state::{RunState, Step, StepState};
use crate::core::template::{StepOutputs, TemplateContext};
use crate::steps::find;
use crate::store::{Reader, StoreError};

use super::error::EngineError;
use super::rows::state_from_rows;

/// Outputs of the children of fan-outs, in item order.
pub(super) type Stored = BTreeMap<StepId, BTreeMap<usize, Outputs>>;

pub(super) struct Run {
    pub name: String,
    pub state: RunState,
}

impl Run {
    /// # Errors
    /// When the run is unknown or unreadable.
    pub(super) fn load(reader: &Reader, id: RunId) -> Result<Run, EngineError> {
        let row = reader.run(id)?;
        if let Some(at) = row.pruned_at {
            return Err(StoreError::Pruned { run: id, at }.into());
        }
        let spec = Arc::new(reader.spec(id)?);
        let steps = reader.unfinished(id)?;
        let name = row.name.clone();
        Ok(Run { name, state: state_from_rows(spec, &row, &steps, placement) })
    }

    /// Fan-outs that a step needs and whose outputs are not all in memory.
    pub(super) fn needs_in_store(&self, step: &Step) -> Vec<StepId> {
        let needs = self.state.step_spec(step).needs.iter();
        needs.filter(|id| self.state.step(id).is_some_and(|need| need.children_in_store)).cloned().collect()
    }

    /// Evaluates something in the context of a step: its params, its needs, its item. `stored` has the outputs
    /// of [`Run::needs_in_store`].
    pub(super) fn with_context<T>(
        &self,
        step: &Step,
        stored: &Stored,
        evaluate: impl FnOnce(&TemplateContext<'_>) -> T,
    ) -> T {
        let state = &self.state;
        let spec = state.step_spec(step);
        let needed = spec.needs.iter().filter_map(|id| {
            let outputs = match stored.get(id) {
                Some(children) => StepOutputs::Many(children.values().collect()),
                None => outputs(state, state.step(id)?),
            };
            Some((id.clone(), outputs))
        });
        let steps: BTreeMap<StepId, StepOutputs<'_>> = needed.collect();
        let item = step.item.as_ref().map(|(position, item)| (item, *position));
        evaluate(&TemplateContext { params: &state.spec().params, steps: &steps, run: (state.run, &self.name), item })
    }
}

fn outputs<'a>(state: &'a RunState, step: &'a Step) -> StepOutputs<'a> {
    match &step.state {
        StepState::Succeeded { outputs } if state.step_spec(step).for_each.is_none() => StepOutputs::One(outputs),
        StepState::Succeeded { .. } => {
            StepOutputs::Many(state.children(step).iter().filter_map(Step::outputs).collect())
        }
        _ => StepOutputs::Skipped,
    }
}

/// A kind that this build does not know fails in its attempt, with a message.
pub(super) fn placement(kind: &str) -> Placement {
    find(kind).map_or(Placement::InProcess, |handler| handler.placement())
}
