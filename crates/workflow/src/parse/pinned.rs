//! The workflow that a run has pinned, with other parameters. Its text no longer exists, so problems are
//! shown at the line of their step in a table of contents.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::children::pin_children;
use super::library::Nesting;
use super::overrides;
use super::workflow::finished;
use crate::catalog::Catalog;
use crate::diagnostic::{Problems, Span, SpecErrors};
use crate::document::{Data, Located, Node, Table};
use crate::draft::{Draft, StepDraft};
use crate::spec::{PinnedWorkflow, StepSpec, WorkflowSpec};
use crate::validate;

/// Applies `overrides` (`-S key=value`) to a checked workflow, and checks it again. `label` is only shown.
///
/// # Errors
/// All problems at once, like [`workflow`](super::workflow).
pub fn pinned(
    spec: WorkflowSpec,
    label: &str,
    overrides: &[(String, String)],
    catalog: &Catalog,
) -> Result<WorkflowSpec, SpecErrors> {
    let children = children(&spec.steps);
    let (mut draft, contents) = draft(spec);
    let mut problems = Problems::new(label, &contents);
    let all_defaults = draft.defaults.take().map(|changed| {
        let mut all = draft.params.clone();
        all.extend(changed);
        all
    });
    overrides::apply(&mut draft.params, overrides, &mut problems);
    draft.defaults = all_defaults.map(|defaults| overrides::replaced(&defaults, &draft.params));
    pin_children(&mut draft.steps, catalog, &Nesting::top(label, &children), &mut problems);
    validate::check(&mut draft, catalog, &mut problems);
    finished(draft, problems)
}

/// Returns the arguments of every step as far as they are known before the run, like
/// [`Check`](crate::catalog::Check) sees them; `None` for a step with arguments that are not.
pub fn known_arguments(spec: &WorkflowSpec, catalog: &Catalog) -> Vec<Option<Value>> {
    validate::known_arguments(&draft(spec.clone()).0, catalog)
}

/// Returns the workflow as it was before the checks, and a table of contents in which each step has its line.
fn draft(spec: WorkflowSpec) -> (Draft, String) {
    let WorkflowSpec { name, description, params, defaults, steps, outputs, budget, sla, secrets } = spec;
    let mut contents = format!("name = {name:?}\n");
    let steps = steps
        .into_iter()
        .map(|step| {
            let start = contents.len();
            // Writing to a string cannot fail.
            let _ = write!(contents, "[[step]] id = {:?}, kind = {:?}", step.id.as_str(), step.kind);
            let span = start..contents.len();
            contents.push('\n');
            step_draft(step, &span)
        })
        .collect();
    let outputs = table(outputs, &(0..contents.len()));
    (Draft { is_read: true, name, description, params, defaults, secrets, budget, sla, steps, outputs }, contents)
}

/// Returns the workflows that steps start, as they were when the run was submitted.
fn children(steps: &[StepSpec]) -> BTreeMap<String, PinnedWorkflow> {
    let named = |step: &StepSpec| Some((step.with.get("workflow")?.as_str()?.to_owned(), step.child.clone()?));
    steps.iter().filter_map(named).collect()
}

fn step_draft(step: StepSpec, span: &Span) -> StepDraft {
    let StepSpec {
        id,
        kind,
        needs,
        with,
        for_each,
        when,
        retry,
        timeout,
        child,
        resources,
        priority,
        rate_limit,
        executor,
    } = step;
    let located = |value: String| Located { value, span: span.clone() };
    StepDraft {
        id: Some(located(id.0)),
        kind: Some(located(kind)),
        needs: needs.into_iter().map(|need| located(need.0)).collect(),
        with: table(with, span),
        for_each: for_each.map(located),
        when: when.map(located),
        retry,
        timeout,
        child,
        child_outputs: None,
        resources: resources.into_iter().map(|(pool, units)| (located(pool), units)).collect(),
        priority,
        rate_limit: rate_limit.map(&located),
        executor: executor.map(located),
    }
}

fn table(entries: Map<String, Value>, span: &Span) -> Table {
    let entry = |(key, value)| Some((Located { value: key, span: span.clone() }, node(value, span)?));
    Table { entries: entries.into_iter().filter_map(entry).collect() }
}

/// Converts a value; drops null, because a workflow file has none.
fn node(value: Value, span: &Span) -> Option<Node> {
    let data = match value {
        Value::Null => return None,
        Value::Bool(value) => Data::Bool(value),
        Value::Number(value) => Data::Number(value),
        Value::String(value) => Data::Text(value),
        Value::Array(items) => Data::List(items.into_iter().filter_map(|item| node(item, span)).collect()),
        Value::Object(entries) => Data::Table(table(entries, span)),
    };
    Some(Node { span: span.clone(), data })
}
