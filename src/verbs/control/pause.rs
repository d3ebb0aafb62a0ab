//! `stepwell pause RUN`

use clap::Args;
use serde_json::json;

use crate::drive::queue::ask::ask;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_base::shell;
use stepwell_run::request::Request;

/// Pause a run: its attempts write a checkpoint and stop until `resume`
///
/// Its child runs pause with it.
#[derive(Args, Debug)]
pub struct PauseArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Reason for the pause, shown with the run
    #[arg(long, short_alias = 'm', aliases = ["message", "comment"], value_name = "TEXT", default_value = "asked for", allow_hyphen_values = true)]
    pub reason: String,
}

pub fn pause(session: &Session, args: &PauseArgs) -> Result<Exit, CliError> {
    let (reader, id) = session.find_kept_run(&args.run)?;
    let name = reader.run(id)?.name;
    drop(reader);
    ask(session, id, &Request::Pause { reason: args.reason.clone() })?;
    let value = json!({ "run": { "id": id, "name": name, "status": "paused" } });
    session.out.document(&format!("run {id} ({name}) is paused"), value)?;
    let resume = shell::stepwell("resume", [&*args.run]);
    session.out.message(&format!("its attempts write a checkpoint and stop; {resume} continues from there"));
    Ok(Exit::Ok)
}
