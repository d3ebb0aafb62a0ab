//! What templates of a workflow may name.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::core::parse::Draft;

/// Names of the whole workflow.
pub(super) struct Names {
    pub(super) params: Map<String, Value>,
    pub(super) secrets: BTreeSet<String>,
    /// By id.
    pub(super) steps: BTreeMap<String, StepShape>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum StepShape {
    One,
    /// A fan-out: its outputs and values are lists.
    Many,
}

impl Names {
    pub(super) fn of(draft: &Draft) -> Names {
        let shape = |fan_out: bool| if fan_out { StepShape::Many } else { StepShape::One };
        let steps = draft.steps.iter().filter_map(|step| {
            let id = step.id.as_ref()?;
            Some((id.value.clone(), shape(step.for_each.is_some())))
        });
        Names { params: draft.params.clone(), secrets: draft.secrets.keys().cloned().collect(), steps: steps.collect() }
    }
}
