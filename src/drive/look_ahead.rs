//! Checks a workflow against this machine before it runs.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::load_workflow::{Loaded, invalid};
use crate::error::CliError;
use crate::session::Session;
use stepwell_base::ids::StepId;
use stepwell_base::secret::sounds_secret;
use stepwell_steps::{Finding, ProjectFiles, Weight, catalog, find};
use stepwell_workflow::diagnostic::Problems;
use stepwell_workflow::kinds::COMMAND;
use stepwell_workflow::parse::{self, Places, Source};
use stepwell_workflow::pools::Pools;
use stepwell_workflow::spec::{StepSpec, WorkflowSpec};
use stepwell_workflow::template::{self, is_literal, with_params};

/// Start of the workflow: in this process, or in one that may run elsewhere and find other files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Starts {
    Here,
    Later,
    /// Only checked, so that params may still be missing.
    NotYet,
}

/// Checks every step and prints warnings.
///
/// # Errors
/// All problems of steps that cannot work, with their places in the file.
pub fn look_ahead(session: &Session, loaded: &Loaded, starts: Starts) -> Result<(), CliError> {
    let Source { origin, text, folder } = &loaded.source;
    let (mut problems, places) = (Problems::new(origin, text), Places::of(text));
    let mut plain = Vec::new();
    let pools = session.settings.limits().pools;
    look_at(
        &loaded.spec,
        (folder, &pools),
        "",
        &mut plain,
        &mut |step, Finding { weight, argument, message, hint }| {
            let message = format!("step `{}`: {message}", step.id);
            if !is_refused(weight, step, starts) {
                session.out.message(&format!("warning: {message}; {hint}"));
                return;
            }
            let problem = match places.find(step.id.as_str(), &argument) {
                Some(span) => problems.at(&span, message),
                None => problems.without_place(message),
            };
            problem.hint(hint);
        },
    );
    if !plain.is_empty() {
        session.out.message(&format!(
            "warning: {} will be kept as plain text; `[secrets]` with `{{{{ secrets.NAME }}}}` keeps a value out of all \
             that is stored",
            plain.join(", ")
        ));
    }
    problems.finish(()).map_err(invalid)
}

/// Reports on every step; a step of a child workflow is called `STEP > CHILD STEP`.
fn look_at(
    spec: &WorkflowSpec,
    (project, pools): (&Path, &Pools),
    parent: &str,
    plain: &mut Vec<String>,
    tell: &mut impl FnMut(&StepSpec, Finding),
) {
    plain.extend(plain_secrets(spec));
    for step in &spec.steps {
        let step = StepSpec { id: StepId(format!("{parent}{}", step.id)), ..step.clone() };
        // The params of a child workflow come from its parent step.
        let with = if parent.is_empty() { with_params(&step.with, &spec.params) } else { step.with.clone() };
        for finding in find(&step.kind).map(|handler| handler.look_ahead(&with, project)).unwrap_or_default() {
            tell(&step, finding);
        }
        if let Some(finding) = no_files(&step, spec, project) {
            tell(&step, finding);
        }
        for (pool, device) in pools.unnumbered(&step.resources) {
            tell(&step, unnumbered(pool, device));
        }
        // Parameters of the child may be templates, so check it with its own defaults.
        let Some(pinned) = &step.child else { continue };
        if let Ok(mut child) = parse::child_workflow(pinned, &Map::new(), &catalog()) {
            for inner in &mut child.steps {
                // The child waits for everything that the parent step waits for.
                inner.needs.extend(step.needs.iter().cloned());
                inner.when = inner.when.take().or_else(|| step.when.clone());
            }
            look_at(&child, (&pinned.folder, pools), &format!("{} > ", step.id), plain, &mut *tell);
        }
    }
}

/// Reports a `glob` that matches nothing.
fn no_files(step: &StepSpec, spec: &WorkflowSpec, project: &Path) -> Option<Finding> {
    let list = step.for_each.as_ref().filter(|list| template::uses_glob(list))?;
    let failure = template::items_now(list, &spec.params, Arc::new(ProjectFiles::new(project)))?;
    let hint =
        "`*` stays within one folder and `**` crosses folders; the names start at the folder of the workflow file";
    Some(Finding {
        weight: Weight::Missing,
        argument: "for_each".to_owned(),
        message: failure.to_string(),
        hint: hint.to_owned(),
    })
}

/// Reports a device that no program is told of.
fn unnumbered(pool: &str, device: &str) -> Finding {
    Finding {
        weight: Weight::Unnoticed,
        argument: "resources".to_owned(),
        message: format!("`CUDA_VISIBLE_DEVICES` is not set for the device `{device}` of pool `{pool}`: its name has no number"),
        hint: "write `pools.gpu = [\"gpu:0\", \"gpu:1\"]` in stepwell.toml; any name is in `$STEPWELL_RESOURCE_POOL` of the program"
            .to_owned(),
    }
}

/// A file that another step may create in time, or a step that may be skipped, is no reason to refuse the workflow.
fn is_refused(weight: Weight, step: &StepSpec, starts: Starts) -> bool {
    match weight {
        Weight::Impossible => step.when.is_none(),
        Weight::Missing => starts != Starts::Later && step.when.is_none() && step.needs.is_empty(),
        Weight::Unset => starts != Starts::NotYet && step.when.is_none() && step.needs.is_empty(),
        Weight::Unnoticed => false,
    }
}

/// Finds parameters and variables that have a value and a name that suggests a secret.
fn plain_secrets(spec: &WorkflowSpec) -> Vec<String> {
    let has_value = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty()) && is_literal(value);
    let params = spec.params.iter().filter(|(name, value)| sounds_secret(name) && has_value(value));
    let mut found: Vec<String> = params.map(|(name, _)| format!("`params.{name}`")).collect();
    for step in spec.steps.iter().filter(|step| step.kind == COMMAND) {
        let env = step.with.get("env").and_then(Value::as_object).into_iter().flatten();
        let env = env.filter(|(name, value)| sounds_secret(name) && has_value(value));
        found.extend(env.map(|(name, _)| format!("`{name}` of step `{}`", step.id)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwell_workflow::parse::{NoLibrary, workflow};

    #[test]
    fn values_with_the_name_of_a_secret_are_told() {
        let text = "name = \"w\"\n[params]\napi_key = \"x\"\npassword = \"\"\nmax_tokens = 3\n[secrets]\nt = { env = \"T\" }\n\
                    [[step]]\nid = \"a\"\nkind = \"command\"\nwith.shell = \"x\"\n\
                    with.env = { HF_TOKEN = \"{{ secrets.t }}\", DB_PASSWORD = \"y\", TOKEN = \"{{ params.api_key }}\" }\n";
        let spec = workflow(text, "w.toml", &[], &catalog(), &NoLibrary).unwrap();
        assert_eq!(plain_secrets(&spec), ["`params.api_key`", "`DB_PASSWORD` of step `a`"]);
    }
}
