//! The only entry point: text in, checked workflow or all problems out.

use serde_json::{Map, Value};

use super::children::pin_children;
use super::library::{Library, Nesting};
use super::overrides;
use crate::catalog::Catalog;
use crate::diagnostic::{Problems, SpecErrors};
use crate::document;
use crate::draft::{Draft, StepDraft};
use crate::spec::{PinnedWorkflow, StepSpec, WorkflowSpec};
use crate::validate;
use stepwell_base::ids::StepId;

/// Parses and checks a workflow file, with `overrides` (`-S key=value`) applied to its params. `file_name` is
/// only shown. `library` finds the workflows that steps start; their texts become part of the result.
///
/// # Errors
/// All problems of the file and of the overrides at once. A TOML syntax error ends the checks, because the
/// meaning of a half-read file would only mislead.
pub fn workflow(
    source: &str,
    file_name: &str,
    overrides: &[(String, String)],
    catalog: &Catalog,
    library: &dyn Library,
) -> Result<WorkflowSpec, SpecErrors> {
    let apply =
        |params: &mut Map<String, Value>, problems: &mut Problems| overrides::apply(params, overrides, problems);
    checked(source, catalog, &Nesting::top(file_name, library), apply)
}

/// Like [`workflow`], for a child: its params are values of the step that starts it.
///
/// # Errors
/// Like [`workflow`].
pub fn child_workflow(
    pinned: &PinnedWorkflow,
    params: &Map<String, Value>,
    catalog: &Catalog,
) -> Result<WorkflowSpec, SpecErrors> {
    let apply = |defaults: &mut Map<String, Value>, problems: &mut Problems| {
        overrides::apply_values(defaults, params, problems)
    };
    checked(&pinned.source, catalog, &Nesting::top(&pinned.origin, &pinned.children), apply)
}

/// Returns the defaults of a file's params and ignores everything else; `None` when its syntax is broken.
pub fn params(source: &str) -> Option<Map<String, Value>> {
    let table = document::read(&mut Problems::new("", source))?;
    Some(Draft::read(&table, &mut Problems::new("", source)).params)
}

/// Parses and checks a workflow at any depth of workflows that start each other.
pub(super) fn checked(
    source: &str,
    catalog: &Catalog,
    nesting: &Nesting<'_>,
    override_params: impl FnOnce(&mut Map<String, Value>, &mut Problems),
) -> Result<WorkflowSpec, SpecErrors> {
    let mut problems = Problems::new(nesting.file(), source);
    let mut draft = match document::read(&mut problems) {
        Some(table) => Draft::read(&table, &mut problems),
        None => {
            blame_plural_headers(&mut problems);
            Draft::default()
        }
    };
    if draft.is_read {
        let defaults = draft.params.clone();
        override_params(&mut draft.params, &mut problems);
        draft.defaults = Some(overrides::replaced(&defaults, &draft.params));
        pin_children(&mut draft.steps, catalog, nesting, &mut problems);
        validate::check(&mut draft, catalog, &mut problems);
    }
    finished(draft, problems)
}

/// Reports the header `[[steps]]` in place of all other problems. With `[step.with]` below it, such a header
/// merges several steps into one table, so that every key looks like a duplicate.
fn blame_plural_headers(problems: &mut Problems) {
    const HEADER: &str = "[[steps]]";
    let text = problems.text().to_owned();
    let lines = text.split_inclusive('\n').scan(0, |start, line| {
        let at = *start;
        *start += line.len();
        Some((at + line.len() - line.trim_start().len(), line.trim()))
    });
    let headers: Vec<usize> = lines.filter(|(_, line)| *line == HEADER).map(|(at, _)| at).collect();
    if !headers.is_empty() {
        problems.clear();
    }
    for at in headers {
        problems.at(&(at..at + HEADER.len()), "unknown table `steps`").hint("did you mean `[[step]]`?");
    }
}

pub(super) fn finished(draft: Draft, problems: Problems) -> Result<WorkflowSpec, SpecErrors> {
    let spec = WorkflowSpec {
        name: draft.name,
        description: draft.description,
        params: draft.params,
        defaults: draft.defaults,
        budget: draft.budget,
        sla: draft.sla,
        secrets: draft.secrets,
        steps: draft.steps.into_iter().filter_map(step_spec).collect(),
        outputs: draft.outputs.to_json(),
    };
    problems.finish(spec)
}

/// `None` only for a step without id or kind, which is a reported problem.
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
        child: step.child,
        resources: step.resources.into_iter().map(|(pool, units)| (pool.value, units)).collect(),
        priority: step.priority,
        rate_limit: step.rate_limit.map(|name| name.value),
        executor: step.executor.map(|name| name.value),
    })
}
