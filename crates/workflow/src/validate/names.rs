//! The names that templates of a workflow may use.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::catalog::{Catalog, Given};
use crate::document::{Data, Node};
use crate::draft::{Draft, StepDraft};

pub(super) struct Names {
    pub(super) params: Map<String, Value>,
    /// Params that differ from the defaults of the file.
    overridden: BTreeSet<String>,
    pub(super) secrets: BTreeSet<String>,
    /// Keyed by id.
    pub(super) steps: BTreeMap<String, StepNames>,
}

/// The outputs and values that a step gives to others.
pub(super) struct StepNames {
    pub(super) kind: String,
    pub(super) shape: StepShape,
    /// `None`: any name.
    pub(super) outputs: Option<Vec<String>>,
    /// `None`: any name.
    pub(super) values: Option<Vec<String>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum StepShape {
    One,
    /// A fan-out: its outputs and values are lists.
    Many,
}

impl Names {
    pub(super) fn of(draft: &Draft, catalog: &Catalog) -> Names {
        let steps = draft.steps.iter().filter_map(|step| {
            let id = step.id.as_ref()?;
            Some((id.value.clone(), StepNames::of(step, catalog)))
        });
        Names {
            params: draft.params.clone(),
            overridden: draft.defaults.iter().flat_map(Map::keys).cloned().collect(),
            secrets: draft.secrets.keys().cloned().collect(),
            steps: steps.collect(),
        }
    }

    /// True for a param, by its path, that has another value than in the file.
    pub(super) fn is_overridden(&self, path: &str) -> bool {
        path.split('.').next().is_some_and(|param| self.overridden.contains(param))
    }
}

impl StepNames {
    fn of(step: &StepDraft, catalog: &Catalog) -> StepNames {
        let shape = if step.for_each.is_some() { StepShape::Many } else { StepShape::One };
        let kind = step.kind.as_ref().map(|kind| kind.value.clone()).unwrap_or_default();
        let gives = catalog.get(&kind).map(|info| info.gives);
        let names = |given: Option<Given>| given.and_then(|given| names(given, step));
        let (outputs, values) = (names(gives.map(|gives| gives.outputs)), names(gives.map(|gives| gives.values)));
        StepNames { kind, shape, outputs, values }
    }
}

/// Returns `None` if any name is possible.
fn names(given: Given, step: &StepDraft) -> Option<Vec<String>> {
    match given {
        Given::KeysOf(argument) => match step.with.get(argument) {
            None => Some(Vec::new()),
            Some(Node { data: Data::Table(table), .. }) => {
                Some(table.entries.iter().map(|(name, _)| name.value.clone()).collect())
            }
            // A template makes the whole table.
            Some(_) => None,
        },
        Given::OfChild => step.child_outputs.clone(),
        declared => Some(declared.names()?.into_iter().map(|(name, _)| name.to_owned()).collect()),
    }
}
