//! All checks of a workflow, in the order in which a reader meets their subjects.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::argument::Argument;
use super::names::Names;
use super::{command, cycle, gate, schema, templates};
use crate::catalog::Catalog;
use crate::diagnostic::Problems;
use crate::draft::{Draft, StepDraft};
use crate::pools::Demand;
use stepwell_base::suggest;

/// Checks the draft, and adds the steps that a step's templates refer to to its `needs`.
pub(crate) fn check(draft: &mut Draft, catalog: &Catalog, problems: &mut Problems) {
    duplicate_ids(&draft.steps, problems);
    let names = Names::of(draft, catalog);
    for step in &mut draft.steps {
        kind_and_arguments(step, &names, catalog, problems);
        needs(step, &names, problems);
        let referenced = templates::check(step, &names, problems);
        step.needs.extend(referenced);
        once(step);
        gate::check(step, problems);
        command::check(step, problems);
        demand(step, catalog, problems);
    }
    templates::check_outputs(&draft.outputs, &names, problems);
    cycle::check(&draft.steps, problems);
}

/// Returns the arguments of every step, in the form for [`Catalog::check`]; `None` where some are known at run time only.
pub(crate) fn known_arguments(draft: &Draft, catalog: &Catalog) -> Vec<Option<Value>> {
    let names = Names::of(draft, catalog);
    draft.steps.iter().map(|step| Argument::of_table(&step.with, &(0..0), &names).to_json()).collect()
}

fn duplicate_ids(steps: &[StepDraft], problems: &mut Problems) {
    let mut first: HashMap<&str, usize> = HashMap::new();
    for id in steps.iter().filter_map(|step| step.id.as_ref()) {
        match first.get(id.value.as_str()) {
            Some(offset) => {
                let line = problems.line(*offset);
                problems
                    .at(&id.span, format!("duplicate step id `{}`", id.value))
                    .label("already used")
                    .hint(format!("line {line} uses it first: give this step another id"));
            }
            None => {
                first.insert(&id.value, id.span.start);
            }
        }
    }
}

/// Kinds in other systems that correspond to `command`.
const PROGRAMS: [&str; 11] =
    ["sh", "bash", "script", "python", "program", "process", "exec", "run", "task", "job", "subprocess"];

fn kind_and_arguments(step: &StepDraft, names: &Names, catalog: &Catalog, problems: &mut Problems) {
    let Some(kind) = &step.kind else { return };
    let Some(info) = catalog.get(&kind.value) else {
        let known = catalog.kinds.iter().map(|info| info.kind);
        let hint = match PROGRAMS.contains(&kind.value.as_str()) {
            true => "`kind = \"command\"` runs programs, `with = { argv = [\"python3\", \"train.py\"] }`, and \
                     `kind = \"shell\"` scripts, `with = { run = \"...\" }`"
                .to_owned(),
            false => suggest::hint(&kind.value, "kinds", known),
        };
        problems.at(&kind.span, format!("unknown step kind `{}`", kind.value)).label("no such kind").hint(hint);
        return;
    };
    let arguments = Argument::of_table(&step.with, &kind.span, names);
    if !schema::check(&info.schema, &arguments, info.kind, names, problems) {
        return;
    }
    if let (Some(check), Some(with)) = (catalog.check, arguments.to_json())
        && let Err(failure) = check(&kind.value, &with)
    {
        let id = step.id.as_ref().map_or("", |id| &id.value);
        let problem = match arguments.is_set_by(names) {
            // The line in the file does not show what the person has set.
            true => problems.without_place(format!("step `{id}`: {}", failure.message)),
            false => problems.at(&kind.span, failure.message).label("its arguments"),
        };
        if let Some(hint) = failure.hint {
            problem.hint(hint);
        }
    }
}

/// Reports unknown pools, rate limits and executors, and demands that this machine can never meet.
fn demand(step: &StepDraft, catalog: &Catalog, problems: &mut Problems) {
    let Some(limits) = &catalog.limits else { return };
    let pools = step.resources.iter().map(|(pool, units)| {
        let demand = Demand::from([(pool.value.clone(), *units)]);
        (&pool.span, limits.pools.check(&demand))
    });
    let rate = step.rate_limit.iter().map(|name| (&name.span, limits.check_rate(&name.value)));
    let executor = step.executor.iter().map(|name| (&name.span, limits.executors.check(&name.value)));
    for (span, checked) in pools.chain(rate).chain(executor) {
        if let Err(failure) = checked {
            problems.at(span, failure.message).hint(failure.hint.unwrap_or_default());
        }
    }
}

fn needs(step: &StepDraft, names: &Names, problems: &mut Problems) {
    for need in &step.needs {
        if !names.steps.contains_key(&need.value) {
            problems
                .at(&need.span, format!("unknown step `{}` in `needs`", need.value))
                .label("no such step")
                .hint(suggest::hint(&need.value, "steps", names.steps.keys().map(String::as_str)));
        }
    }
}

/// Keeps the first mention of every needed step.
fn once(step: &mut StepDraft) {
    let mut seen = HashSet::new();
    step.needs.retain(|need| seen.insert(need.value.clone()));
}
