//! `stepwell workflow list|validate|graph|schema`

use serde_json::json;

use super::args::{WorkflowArgs, WorkflowVerb};
use super::error::CliError;
use super::exit_code::Exit;
use super::look_ahead::look_ahead;
use super::output::table;
use super::session::Session;
use super::workflow_source::{EMBEDDED, load};
use crate::core::{graph, schema, shell};
use crate::steps;

pub fn workflow(session: &Session, verb: &WorkflowVerb) -> Result<Exit, CliError> {
    match verb {
        WorkflowVerb::List => list(session)?,
        WorkflowVerb::Validate(args) => validate(session, args)?,
        WorkflowVerb::Graph(args) => {
            let dot = graph::dot(&load(session, &args.workflow, &args.set)?);
            session.out.document(&dot, json!({ "dot": dot }))?;
        }
        WorkflowVerb::Schema => {
            session.out.json_text(&format!("{:#}", schema::workflow_schema(&steps::catalog())))?;
        }
    }
    Ok(Exit::Ok)
}

fn list(session: &Session) -> Result<(), CliError> {
    let mut names: Vec<String> = EMBEDDED.iter().map(|(name, _)| (*name).to_owned()).collect();
    if let Ok(folder) = std::fs::read_dir("workflows") {
        let paths = folder.filter_map(|entry| Some(entry.ok()?.path()));
        let tomls = paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
        names.extend(tomls.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())));
    }
    names.sort();
    names.dedup();
    let mut rows = Vec::new();
    let mut values = Vec::new();
    for name in names {
        let source = super::workflow_source::find(&name)?;
        let description = match load(session, &name, &[]) {
            Ok(spec) => spec.description,
            Err(_) => format!("(invalid: see {})", shell::stepwell("workflow validate", [&*name])),
        };
        values.push(json!({ "name": name, "origin": source.origin, "description": description }));
        rows.push(vec![name, description, source.origin]);
    }
    session.out.document(&table(&["name", "description", "from"], rows), json!({ "workflows": values }))
}

fn validate(session: &Session, args: &WorkflowArgs) -> Result<(), CliError> {
    let spec = load(session, &args.workflow, &args.set)?;
    look_ahead(session, &spec)?;
    let human = format!("{} is valid: {} steps", spec.name, spec.steps.len());
    session.out.document(&human, json!({ "valid": true, "workflow": spec.name, "steps": spec.steps.len() }))
}
