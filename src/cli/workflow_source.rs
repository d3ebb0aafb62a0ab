//! Finds a workflow by name: a path, then `./workflows/NAME.toml`, then those inside the binary.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error::{CliError, REPORT_WIDTH, chain, color};
use super::session::Session;
use crate::config::Origin;
use crate::core::parse::{self, Library, Source, SpecErrors};
use crate::core::spec::WorkflowSpec;
use crate::steps;
use crate::store::RunRow;

/// Workflows that are part of the binary, so that it works outside of the repository.
pub const EMBEDDED: &[(&str, &str)] = &[
    #[cfg(feature = "train")]
    ("quickstart", include_str!("../../workflows/quickstart.toml")),
    #[cfg(feature = "train")]
    ("pretrain", include_str!("../../workflows/pretrain.toml")),
    #[cfg(feature = "train")]
    ("smoke", include_str!("../../workflows/smoke.toml")),
    ("commands", include_str!("../../workflows/commands.toml")),
];

/// The workflows that a person can name.
pub struct Files;

impl Library for Files {
    /// A path is relative to the folder of the file that names it.
    fn find(&self, workflow: &str, from: &str) -> Result<Source, String> {
        let beside = Path::new(from).parent().map(|folder| folder.join(workflow));
        let found = match beside {
            Some(path) if looks_like_path(workflow) => find(&path.to_string_lossy()),
            _ => find(workflow),
        };
        found.map_err(|error| error.message)
    }

    fn inside(&self, _workflow: &str) -> &dyn Library {
        self
    }
}

fn looks_like_path(workflow: &str) -> bool {
    workflow.ends_with(".toml") || workflow.contains(std::path::MAIN_SEPARATOR)
}

pub fn find(workflow: &str) -> Result<Source, CliError> {
    let direct = Path::new(workflow);
    let local = PathBuf::from("workflows").join(format!("{workflow}.toml"));
    if looks_like_path(workflow) && !direct.is_file() {
        return Err(CliError::not_found(format!("workflow file {workflow} does not exist")));
    }
    for path in [direct, &local] {
        if path.is_file() {
            let origin = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|error| CliError::usage(format!("cannot read workflow {origin}: {error}")))?;
            return Ok(Source { origin, text });
        }
    }
    match EMBEDDED.iter().find(|(name, _)| *name == workflow) {
        Some((name, text)) => Ok(Source { origin: format!("{name}.toml (embedded)"), text: (*text).to_owned() }),
        None => Err(CliError::not_found(format!("there is no workflow `{workflow}`"))
            .hint("`stepwell workflow list` names them; a path to a TOML file works too")),
    }
}

/// Finds, parses and checks a workflow with its parameter overrides. A `device` parameter that is not
/// overridden takes the device of the settings.
pub fn load(session: &Session, workflow: &str, overrides: &[(String, String)]) -> Result<WorkflowSpec, CliError> {
    let source = find(workflow)?;
    let parsed = parse::workflow(&source.text, &source.origin, overrides, &steps::catalog(), &Files);
    let mut spec = parsed.map_err(|errors| invalid(session, &errors))?;
    let device = &session.settings.device;
    let chosen = overrides.iter().any(|(name, _)| name == "device");
    if !chosen
        && device.origin != Origin::Default
        && let Some(param) = spec.params.get_mut("device")
    {
        *param = Value::String(device.value.clone());
    }
    Ok(spec)
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
    parse::pinned(spec, &label, set, &steps::catalog()).map_err(|errors| invalid(session, &errors))
}

fn invalid(session: &Session, errors: &SpecErrors) -> CliError {
    let mut error = CliError::usage(chain(errors));
    error.code = "invalid_workflow";
    error.report = Some(errors.render(color(session.settings.color.value), REPORT_WIDTH));
    error
}
