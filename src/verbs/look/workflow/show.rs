//! `stepwell workflow show WORKFLOW [--source]`

use clap::Args;
use serde_json::json;

use crate::drive::load_workflow::load;
use crate::drive::workflow_source::find;
use crate::error::CliError;
use crate::session::Session;
use crate::view::workflow_json::{params_json, steps_json};
use crate::view::workflow_page::page;
use stepwell_base::shell;
use stepwell_steps::catalog;
use stepwell_workflow::outline;

/// Show a workflow: its parameters with their meaning, defaults and types, and its steps in order
///
/// The meaning of a parameter is the comment above it in the file; a line `## Title` among the parameters starts a group.
#[derive(Args, Debug)]
pub struct WorkflowShowArgs {
    /// Name of a workflow, or path of a TOML file
    pub workflow: String,
    /// Print the file itself, unchanged
    #[arg(long)]
    pub source: bool,
}

pub fn show(session: &Session, args: &WorkflowShowArgs) -> Result<(), CliError> {
    let source = find(&args.workflow)?;
    let params = outline::params(&source.text);
    let mut fields = json!({ "workflow": args.workflow, "from": source.origin, "text": source.text });
    let mut human = source.text.clone();
    // A broken file can still be printed.
    if !args.source {
        let spec = load(session, &args.workflow, &[])?.spec;
        let print = shell::stepwell("workflow show --source", [&*args.workflow]);
        human = page(&spec, &params, &source.origin, &print, &catalog());
        fields["description"] = json!(spec.description);
        fields["steps"] = steps_json(&spec);
    }
    fields["params"] = params_json(&source.text);
    session.out.document(&human, fields)
}
