//! The one entry point: text in, checked workflow or all problems out.

use super::draft::{Draft, StepDraft};
use super::overrides;
use crate::core::catalog::Catalog;
use crate::core::diagnostic::{Problems, SpecErrors};
use crate::core::document;
use crate::core::ids::StepId;
use crate::core::spec::{StepSpec, WorkflowSpec};
use crate::core::validate;

/// Parses and checks a workflow file, with `overrides` (`-S key=value`) applied to its params.
/// `file_name` is only shown.
///
/// # Errors
/// All problems of the file and of the overrides at once. After a TOML syntax error nothing else is
/// checked: what a half-read file seems to say would only mislead.
pub fn workflow(
    source: &str,
    file_name: &str,
    overrides: &[(String, String)],
    catalog: &Catalog,
) -> Result<WorkflowSpec, SpecErrors> {
    let mut problems = Problems::new(file_name, source);
    let mut draft = match document::read(&mut problems) {
        Some(table) => Draft::read(&table, &mut problems),
        None => Draft::default(),
    };
    if draft.is_read {
        overrides::apply(&mut draft.params, overrides, &mut problems);
        validate::check(&mut draft, catalog, &mut problems);
    }
    checked(draft, problems)
}

/// The workflow, unless something is wrong with it.
pub(super) fn checked(draft: Draft, problems: Problems) -> Result<WorkflowSpec, SpecErrors> {
    let spec = WorkflowSpec {
        name: draft.name,
        description: draft.description,
        params: draft.params,
        steps: draft.steps.into_iter().filter_map(step_spec).collect(),
    };
    problems.finish(spec)
}

/// None only for a step without id or kind, which is a problem of the file.
fn step_spec(step: StepDraft) -> Option<StepSpec> {
    Some(StepSpec {
        id: StepId(step.id?.value),
        kind: step.kind?.value,
        needs: step.needs.into_iter().map(|need| StepId(need.value)).collect(),
        with: step.with.to_json(),
        for_each: step.for_each.map(|expression| expression.value),
        when: step.when.map(|expression| expression.value),
        retry: step.retry,
        timeout: step.timeout,
    })
}
