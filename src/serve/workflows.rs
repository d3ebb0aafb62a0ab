//! Workflows by name, and those that a request carries as text.

use serde_json::{Map, Value, json};

use crate::drive::load_workflow::{Loaded, check};
use crate::drive::look_ahead::{Starts, look_ahead};
use crate::drive::workflow_source::{find, names};
use crate::error::CliError;
use crate::session::Session;
use crate::view::workflow_json::{params_json, steps_json};
use crate::view::workflow_page::toml;
use stepwell_http::WorkflowText;
use stepwell_workflow::parse::Source;

/// Name of a text in messages about it.
const TEXT: &str = "workflow text";

/// The file of a workflow. A name is one of those that need no path; only text brings anything else.
///
/// # Errors
/// `NotFound`.
pub(super) fn source(workflow: WorkflowText) -> Result<Source, CliError> {
    match workflow {
        WorkflowText::Named(name) if names().contains(&name) => find(&name),
        WorkflowText::Named(name) => Err(CliError::not_found(format!("there is no workflow `{name}` on the server"))
            .hint("`GET /api/v1/workflows` lists them; `text` takes the text of a file")),
        WorkflowText::Text(text) => {
            let folder =
                std::env::current_dir().map_err(|error| CliError::internal("find the working directory", error))?;
            Ok(Source { origin: TEXT.to_owned(), text, folder })
        }
    }
}

pub(super) fn describe(session: &Session, name: &str) -> Result<Value, CliError> {
    let loaded = check(session, source(WorkflowText::Named(name.to_owned()))?, &[])?;
    Ok(form(&loaded))
}

pub(super) fn validate(session: &Session, text: &str, params: &Map<String, Value>) -> Result<Value, CliError> {
    let loaded = check(session, source(WorkflowText::Text(text.to_owned()))?, &assignments(params)?)?;
    look_ahead(session, &loaded, Starts::NotYet)?;
    Ok(form(&loaded))
}

/// Parameters as `-S NAME=VALUE` takes them.
///
/// # Errors
/// `Usage` for null, which no parameter can be.
pub(super) fn assignments(params: &Map<String, Value>) -> Result<Vec<(String, String)>, CliError> {
    let one = |(name, value): (&String, &Value)| match value {
        Value::Null => {
            Err(CliError::usage(format!("param `{name}` cannot be null")).hint("leave it out to have its default"))
        }
        Value::String(text) => Ok((name.clone(), text.clone())),
        other => Ok((name.clone(), toml(other))),
    };
    params.iter().map(one).collect()
}

fn form(Loaded { spec, source }: &Loaded) -> Value {
    json!({
        "workflow": spec.name,
        "from": source.origin,
        "description": spec.description,
        "params": params_json(&source.text),
        "steps": steps_json(spec),
        "text": source.text,
    })
}
