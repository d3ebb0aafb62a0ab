//! Groups steps that compete for the same resources.

use std::collections::BTreeMap;

use stepwell_workflow::catalog::Placement;
use stepwell_workflow::limits::Class;
use stepwell_workflow::pools::Demand;
use stepwell_workflow::spec::{StepSpec, WorkflowSpec};

/// Position of a class in [`RunState`](super::RunState).
pub type ClassIndex = usize;

/// Returns the classes of a workflow and, for each step, the class of its attempts and that of its expansion.
pub(super) fn classify(
    spec: &WorkflowSpec,
    placement: impl Fn(&str) -> Placement,
) -> (Vec<Class>, Vec<(ClassIndex, ClassIndex)>) {
    let mut index: BTreeMap<Class, ClassIndex> = BTreeMap::new();
    let mut find = |class: Class| {
        let next = index.len();
        *index.entry(class).or_insert(next)
    };
    let mut class_of = Vec::with_capacity(spec.steps.len());
    for StepSpec { kind, priority, resources, rate_limit, executor, .. } in &spec.steps {
        let priority = *priority;
        let (demand, rate_limit, executor) = (resources.clone(), rate_limit.clone(), executor.clone());
        let attempt = find(Class { placement: placement(kind), priority, demand, rate_limit, executor });
        let (placement, demand) = (Placement::InProcess, Demand::new());
        class_of.push((attempt, find(Class { placement, priority, demand, rate_limit: None, executor: None })));
    }
    let mut classes: Vec<(Class, ClassIndex)> = index.into_iter().collect();
    classes.sort_by_key(|(_, index)| *index);
    (classes.into_iter().map(|(class, _)| class).collect(), class_of)
}
