//! Checks the workflows that steps start, and pins their texts.

use serde_json::{Map, Value};

use super::library::{Nesting, Source};
use super::overrides::{known_param, set};
use super::workflow::checked;
use crate::catalog::Catalog;
use crate::diagnostic::{Problems, Span, SpecErrors, line_feeds};
use crate::document::{Data, Located, Node, Table};
use crate::draft::StepDraft;
use crate::kinds::WORKFLOW;
use crate::spec::{PinnedWorkflow, StepSpec, WorkflowSpec};
use crate::template::{Form, form};

/// Sets `child` and `child_outputs` of each step of kind `workflow`, or reports why its workflow cannot be started.
pub(super) fn pin_children(steps: &mut [StepDraft], catalog: &Catalog, nesting: &Nesting<'_>, problems: &mut Problems) {
    for step in steps {
        pin_child(step, catalog, nesting, problems);
    }
}

fn pin_child(step: &mut StepDraft, catalog: &Catalog, nesting: &Nesting<'_>, problems: &mut Problems) {
    if step.kind.as_ref().is_none_or(|kind| kind.value != WORKFLOW) {
        return;
    }
    // The schema has reported a missing name, or one of another type.
    let Some(Node { data: Data::Text(name), span }) = step.with.get("workflow") else { return };
    if form(name) != Form::Literal {
        problems
            .at(span, "which workflow a step starts must be known before the run")
            .hint("write one step per workflow, and choose with `when`");
        return;
    }
    let source = match nesting.find(name) {
        Ok(source) => source,
        Err(message) => {
            problems.at(span, message).hint("`stepwell workflow list` names them; a path to a TOML file works too");
            return;
        }
    };
    let inner = match nesting.enter(name, &source.origin) {
        Ok(inner) => inner,
        Err(message) => {
            problems.at(span, message).hint("let the inner workflow do without it");
            return;
        }
    };
    let params = step.with.get("params").and_then(|node| match &node.data {
        Data::Table(table) => Some(table),
        _ => None,
    });
    let mut refused = Vec::new();
    let parsed = checked(&source.text, catalog, &inner, |defaults, _| {
        refused = override_defaults(params, defaults);
    });
    for (place, message, hint) in refused {
        problems.at(&place.span, message).hint(hint);
    }
    match parsed {
        Ok(spec) => {
            step.child_outputs = Some(spec.outputs.keys().cloned().collect());
            step.child = Some(pin(source, &spec));
        }
        Err(errors) => forward(&errors, span, problems),
    }
}

type Refused<'a> = (&'a Located<String>, String, String);

/// Applies literal values that fit; templates are known only at run time.
fn override_defaults<'a>(given: Option<&'a Table>, defaults: &mut Map<String, Value>) -> Vec<Refused<'a>> {
    let mut refused = Vec::new();
    for (name, node) in given.into_iter().flat_map(|table| &table.entries) {
        if !defaults.contains_key(&name.value) {
            let hint = known_param(defaults, &name.value);
            refused.push((name, format!("the workflow has no param `{}`", name.value), hint));
        } else if !has_template(node)
            && let Err((message, hint)) = set(defaults, &name.value, &node.to_json())
        {
            refused.push((name, message, hint));
        }
    }
    refused
}

fn has_template(node: &Node) -> bool {
    match &node.data {
        Data::Text(text) => form(text) != Form::Literal,
        Data::List(items) => items.iter().any(has_template),
        Data::Table(table) => table.entries.iter().any(|(_, node)| has_template(node)),
        Data::Bool(_) | Data::Number(_) => false,
    }
}

/// Reports the problems of the inner file at the place that names it.
fn forward(errors: &SpecErrors, span: &Span, problems: &mut Problems) {
    for problem in errors.problems() {
        let place = problem.position().map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
        let forwarded = problems.at(span, format!("{}{place}: {}", errors.file(), problem.message()));
        if let Some(hint) = problem.hint_text() {
            forwarded.hint(hint);
        }
    }
}

fn pin(source: Source, spec: &WorkflowSpec) -> PinnedWorkflow {
    let named = |step: &StepSpec| Some((step.with.get("workflow")?.as_str()?.to_owned(), step.child.clone()?));
    PinnedWorkflow {
        origin: source.origin,
        source: line_feeds(&source.text),
        folder: source.folder,
        children: spec.steps.iter().filter_map(named).collect(),
    }
}
