//! `stepwell workflow list|show|new|validate|graph|schema`

mod new;
mod show;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::arguments::Params;
use crate::drive::load_workflow::load;
use crate::drive::look_ahead::{Starts, look_ahead};
use crate::drive::workflow_source::{find, names};
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::output::table;
use crate::view::words::count;
use stepwell_base::shell;
use stepwell_workflow::spec::WorkflowSpec;
use stepwell_workflow::{graph, schema};

/// List, show, write, check and draw workflows
///
/// A WORKFLOW is a path of a TOML file, the name of one in `./workflows`, or one that the program contains.
#[derive(Subcommand, Debug)]
pub enum WorkflowVerb {
    /// List the workflows that can be run by name
    List,
    Show(show::WorkflowShowArgs),
    New(new::WorkflowNewArgs),
    /// Check a workflow and its parameters without running it
    ///
    /// Reports every problem with its line, and warns of files and programs that this machine lacks.
    Validate(WorkflowArgs),
    /// Print the steps as a graph in Graphviz's dot language
    Graph(WorkflowArgs),
    /// Print the JSON schema of workflow files
    Schema,
}

#[derive(Args, Debug)]
pub struct WorkflowArgs {
    /// Name of a workflow, or path of a TOML file
    pub workflow: String,
    #[command(flatten)]
    pub params: Params,
}

pub fn workflow(session: &Session, verb: &WorkflowVerb) -> Result<Exit, CliError> {
    match verb {
        WorkflowVerb::List => list(session)?,
        WorkflowVerb::Show(args) => show::show(session, args)?,
        WorkflowVerb::New(args) => new::new(session, args)?,
        WorkflowVerb::Validate(args) => validate(session, args)?,
        WorkflowVerb::Graph(args) => {
            let dot = graph::dot(&load(session, &args.workflow, &args.params.set)?.spec);
            session.out.document(&dot, json!({ "dot": dot }))?;
        }
        WorkflowVerb::Schema => {
            session.out.json_text(&format!("{:#}", schema::workflow_schema(&stepwell_steps::catalog())))?;
        }
    }
    Ok(Exit::Ok)
}

fn list(session: &Session) -> Result<(), CliError> {
    let mut rows = Vec::new();
    let mut values = Vec::new();
    for name in names() {
        let source = find(&name)?;
        let description = match load(session, &name, &[]) {
            Ok(loaded) => loaded.spec.description,
            Err(_) => format!("(invalid: see {})", shell::stepwell("workflow validate", [&*name])),
        };
        values.push(json!({ "name": name, "origin": source.origin, "description": description }));
        rows.push(vec![name, description, source.origin]);
    }
    session.out.document(&table(&["name", "description", "from"], rows), json!({ "workflows": values }))
}

fn validate(session: &Session, args: &WorkflowArgs) -> Result<(), CliError> {
    let loaded = load(session, &args.workflow, &args.params.set)?;
    look_ahead(session, &loaded, Starts::NotYet)?;
    let WorkflowSpec { name, steps, params, .. } = loaded.spec;
    let mut human = format!("{name} is valid: {}", count(steps.len() as u64, "step"));
    if !params.is_empty() {
        human.push_str("\n\n");
        human.push_str(&table(
            &["param", "value"],
            params.iter().map(|(name, value)| vec![name.clone(), value.to_string()]).collect(),
        ));
        let show = shell::stepwell("workflow show", [&*args.workflow]);
        human.push_str(&format!("\n{show} says what they mean"));
    }
    session.out.document(&human, json!({ "valid": true, "workflow": name, "steps": steps.len(), "params": params }))
}
