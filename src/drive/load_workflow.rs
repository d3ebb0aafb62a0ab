//! Loads a workflow: finds, parses and checks it, with other parameters.

use std::path::Path;

use serde_json::{Map, Value};

use super::git_state::git_state;
use super::mistakes::with_param;
use super::workflow_source::{EMBEDDED_ORIGIN, Files, find};
use crate::error::{CliError, ErrorKind, Report};
use crate::guess::exact;
use crate::session::Session;
use stepwell_base::artifact::Digest;
use stepwell_base::shell;
use stepwell_config::Origin;
use stepwell_run::project::{Project, WorkflowFile};
use stepwell_store::RunRow;
use stepwell_workflow::catalog::Catalog;
use stepwell_workflow::parse::{self, Source, SpecErrors};
use stepwell_workflow::spec::WorkflowSpec;

/// Most commands in a hint about several values.
const MOST_VALUES: usize = 4;

/// A checked workflow and its file.
pub struct Loaded {
    pub spec: WorkflowSpec,
    pub source: Source,
}

impl Loaded {
    /// The folder of the file with its Git state, and the changes that are not committed; `None` for a workflow that the
    /// program contains.
    pub fn project(&self, session: &Session) -> (Option<Project>, Option<Vec<u8>>) {
        let Source { folder, origin, text } = &self.source;
        if folder.as_os_str().is_empty() {
            return (None, None);
        }
        let name = Path::new(origin).file_name().and_then(|name| name.to_str());
        let file =
            name.map(|name| Box::new(WorkflowFile { name: name.to_owned(), digest: Digest::of(text.as_bytes()) }));
        project_now(session, Some(&Project { file, ..Project::new(folder.clone()) }))
    }
}

/// A project with its Git state as it is now, and its changes that are not committed.
pub fn project_now(session: &Session, project: Option<&Project>) -> (Option<Project>, Option<Vec<u8>>) {
    let Some(project) = project else { return (None, None) };
    let (git, diff) = match git_state(&project.folder, session.state_dir()) {
        Some(found) => (Some(found.state), found.diff),
        None => (None, None),
    };
    (Some(Project { git, ..project.clone() }), diff)
}

/// Finds, parses and checks a workflow with its parameter overrides. A `device` parameter without an override takes the
/// device from the settings.
pub fn load(session: &Session, workflow: &str, overrides: &[(String, String)]) -> Result<Loaded, CliError> {
    check(session, find(workflow)?, overrides)
}

/// Like [`load`], for a file that was read already.
pub fn check(session: &Session, source: Source, overrides: &[(String, String)]) -> Result<Loaded, CliError> {
    let catalog = catalog(session);
    let own = parse::params(&source.text).unwrap_or_default();
    let overrides = &*with_own_names(session, &own, overrides);
    let parsed = parse::workflow(&source.text, &source.origin, overrides, &catalog, &Files);
    let spec = parsed.map_err(|errors| {
        let show = errors.is_about_params() && !overrides.is_empty();
        let show = show.then(|| shell::stepwell("workflow show", [source.origin.trim_end_matches(EMBEDDED_ORIGIN)]));
        let show = show.map(|show| format!("{show} explains the params"));
        let other = apart(&source.origin, &own, overrides).or_else(|| meant_elsewhere(&source, overrides));
        invalid(errors).hints(other.or(show))
    })?;
    check_steps(&spec, overrides)?;
    let device = &session.settings.device;
    let chosen = overrides.iter().any(|(name, _)| name == "device");
    if chosen || device.origin == Origin::Default || !spec.params.contains_key("device") {
        return Ok(Loaded { spec, source });
    }
    let set = [("device".to_owned(), device.value.clone())];
    let label = format!("{} with the device of the settings", source.origin);
    let spec = parse::pinned(spec, &label, &set, &catalog).map_err(invalid)?;
    Ok(Loaded { spec, source })
}

/// Calls params by the names that the workflow has for them, as `learning_rate` for `lr`, and says so.
fn with_own_names(
    session: &Session,
    own: &Map<String, Value>,
    overrides: &[(String, String)],
) -> Vec<(String, String)> {
    let renamed = |(name, value): &(String, String)| {
        let meant = exact(own, name).filter(|param| param != name);
        if let Some(param) = meant {
            let set = |name: &str| shell::quote(format!("{name}={value}"));
            session.out.message(&format!("note: `-S {}` is taken as `-S {}`", set(name), set(param)));
        }
        (meant.map_or_else(|| name.clone(), str::to_owned), value.clone())
    };
    overrides.iter().map(renamed).collect()
}

/// One command per value for `-S learning_rate=0.004,0.008`, where the param is a number.
fn apart(origin: &str, own: &Map<String, Value>, overrides: &[(String, String)]) -> Option<String> {
    let is_list = |(name, value): &&(String, String)| {
        let is_number = |part: &str| part.trim().parse::<f64>().is_ok();
        own.get(name).is_some_and(Value::is_number) && value.contains(',') && value.split(',').all(is_number)
    };
    let (name, values) = overrides.iter().find(is_list)?;
    let command = |one: &str| {
        let set = overrides.iter().map(|(other, value)| {
            let value = if other == name { one.trim() } else { value };
            format!(" -S {}", shell::quote(format!("{other}={value}")))
        });
        shell::stepwell(&format!("run{}", set.collect::<String>()), [origin.trim_end_matches(EMBEDDED_ORIGIN)])
    };
    let commands: Vec<String> = values.split(',').take(MOST_VALUES).map(command).collect();
    Some(format!(
        "one run for each value: {}; `stepwell compare RUN RUN` puts them side by side",
        commands.join(", then ")
    ))
}

/// Refuses `steps` next to phases with other steps, because it would change nothing.
fn check_steps(spec: &WorkflowSpec, overrides: &[(String, String)]) -> Result<(), CliError> {
    let Some(Value::Array(phases)) = spec.params.get("phases") else { return Ok(()) };
    let total: Option<u64> = phases.iter().map(|phase| phase.get("steps")?.as_u64()).sum();
    let steps = spec.params.get("steps").and_then(Value::as_u64);
    if phases.is_empty() || total == steps || !overrides.iter().any(|(name, _)| name == "steps") {
        return Ok(());
    }
    let shown = |count: Option<u64>| count.map_or_else(|| "other".to_owned(), |count| count.to_string());
    let message = format!("`steps` is {}, but the `phases` have {} steps", shown(steps), shown(total));
    Err(CliError::usage(message)
        .hint("set the steps of the phases, as in `-S phases.NAME.steps=300`, or drop the phases: `-S phases=[]`"))
}

/// Hints at a workflow that has a parameter which this one lacks.
fn meant_elsewhere(source: &Source, overrides: &[(String, String)]) -> Option<String> {
    let own = parse::params(&source.text)?;
    let named = overrides.iter().map(|(key, value)| (key.split('.').next().unwrap_or(key), value));
    let (name, value) =
        named.into_iter().find(|(name, _)| !own.contains_key(*name) && !parse::is_near_a_param(&own, name))?;
    Some(with_param(name)?.hint(Some(value)))
}

/// The step kinds of this build, and the limits of this machine.
fn catalog(session: &Session) -> Catalog {
    Catalog { limits: Some(session.settings.limits()), ..stepwell_steps::catalog() }
}

/// The workflow of a run with other parameters, checked as if it were read from a file.
pub fn repin(
    session: &Session,
    run: &RunRow,
    spec: WorkflowSpec,
    set: &[(String, String)],
) -> Result<WorkflowSpec, CliError> {
    if set.is_empty() {
        return Ok(spec);
    }
    let label = format!("the workflow of run {}", run.name);
    let set = &*with_own_names(session, &spec.params, set);
    let spec = parse::pinned(spec, &label, set, &catalog(session)).map_err(|errors| {
        let show = shell::stepwell("show --all", [&*run.id.to_string()]);
        let hint = errors.is_about_params().then(|| format!("{show} lists the params of that run"));
        invalid(errors).hints(hint)
    })?;
    check_steps(&spec, set)?;
    Ok(spec)
}

pub fn invalid(errors: SpecErrors) -> CliError {
    CliError::new(ErrorKind::InvalidWorkflow, errors.clone()).reported(Report::Workflow(errors))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::workflow_source::EMBEDDED;

    fn problems(name: &str, set: &[(&str, &str)]) -> Vec<String> {
        let (_, text) = EMBEDDED.iter().find(|(known, _)| *known == name).expect("an embedded workflow");
        let set: Vec<_> = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        match parse::workflow(text, name, &set, &stepwell_steps::catalog(), &Files) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.problems().iter().map(|problem| problem.message().to_owned()).collect(),
        }
    }

    #[test]
    fn the_embedded_workflows_are_valid() {
        for (name, _) in EMBEDDED {
            assert_eq!(problems(name, &[]), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn an_argument_that_is_missing_or_of_another_type_is_answered_with_a_line_to_paste() {
        let hint = |step: &str| {
            let text = format!("name = \"w\"\n[[step]]\nid = \"a\"\n{step}\n");
            let errors = parse::workflow(&text, "w.toml", &[], &stepwell_steps::catalog(), &Files).expect_err(step);
            let [problem] = errors.problems() else { panic!("{errors:?}") };
            problem.hint_text().unwrap_or_default().to_owned()
        };
        for (step, expected) in [
            ("kind = \"approval\"", "add the line `with.prompt = \"Publish this model?\"`: Question for the person."),
            (
                "kind = \"approval\"\nwith.inputs = { a = 1 }",
                "add `prompt = \"Publish this model?\"` to `with`: Question for the person.",
            ),
            ("kind = \"signal\"", "add the line `with.name = \"data-arrived\"`: Name of the signal to wait for."),
            (
                "kind = \"command\"\nwith = { argv = [\"true\"], outputs = [] }",
                "write it like this: `outputs = { model = \"model.pt\" }`",
            ),
            ("kind = \"command\"\nwith.argv = \"true\"", "write it like this: `argv = [\"python3\", \"train.py\"]`"),
            (
                "kind = \"command\"\nwith = { argv = [\"x\"], env = [\"A=1\"] }",
                "write it like this: `env = { SEED = \"1\" }`",
            ),
        ] {
            assert_eq!(hint(step), expected, "{step}");
        }
    }

    #[cfg(feature = "train")]
    #[test]
    fn a_wrong_override_names_the_param_and_its_values_and_no_line_of_the_file() {
        let (_, text) = EMBEDDED.iter().find(|(known, _)| *known == "quickstart").unwrap();
        let set = [("model".to_owned(), "tny".to_owned())];
        let errors = parse::workflow(text, "quickstart", &set, &stepwell_steps::catalog(), &Files).unwrap_err();
        let [problem] = errors.problems() else { panic!("{errors:?}") };
        assert_eq!((problem.message(), problem.position()), ("param `model` cannot be the text \"tny\"", None));
        let hint = problem.hint_text().unwrap();
        assert!(hint.starts_with("did you mean `tiny`? Or known values: `tiny`, `quickstart`, `small`"), "{hint}");
        let set = [("device".to_owned(), "abacus".to_owned())];
        let errors = parse::workflow(text, "quickstart", &set, &stepwell_steps::catalog(), &Files).unwrap_err();
        assert_eq!(errors.problems()[0].position(), None);
    }

    #[cfg(feature = "train")]
    #[test]
    fn settings_that_cannot_train_are_refused_before_the_run() {
        for (workflow, name, value, message) in [
            ("quickstart", "model", "gpt2", "param `model` cannot be the text \"gpt2\""),
            ("pretrain", "model", "gpt2", "param `model` cannot be the text \"gpt2\""),
            ("quickstart", "optimizer", "lion", "param `optimizer` cannot be the text \"lion\""),
            ("pretrain", "schedule", "stairs", "param `schedule` cannot be the text \"stairs\""),
            ("quickstart", "device", "abacus", "`abacus` is not a device"),
            ("quickstart", "batch", "0", "`batch` must be at least 1"),
            ("quickstart", "learning_rate", "-1.0", "the learning rate is -1"),
            ("pretrain", "freeze_layers", "99", "99"),
            ("pretrain", "vocab_size", "3", "`vocab_size` is 3: the smallest is 259"),
            ("pretrain", "languages", "[\"english\"]", "unknown language `english`"),
            ("pretrain", "phases", "[{ name = \"main\", steps = 10, context = 4096 }]", "4096"),
        ] {
            let found = problems(workflow, &[(name, value)]);
            assert!(matches!(found.as_slice(), [one] if one.contains(message)), "{name}={value}: {found:?}");
        }
        assert_eq!(problems("pretrain", &[("model", "deep60"), ("context", "256")]), Vec::<String>::new());
    }
}
