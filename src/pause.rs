//! `stepwell pause RUN`

use serde_json::json;

use super::args::PauseArgs;
use super::error::CliError;
use super::exit_code::Exit;
use super::go_on::ask;
use super::session::Session;
use stepwell_base::shell;
use stepwell_run::request::Request;

pub fn pause(session: &Session, args: &PauseArgs) -> Result<Exit, CliError> {
    let (reader, id) = session.find_run(&args.run)?;
    let name = reader.run(id)?.name;
    drop(reader);
    ask(session, id, &Request::Pause { reason: args.reason.clone() })?;
    let value = json!({ "run": { "id": id, "name": name, "status": "paused" } });
    session.out.document(&format!("run {id} ({name}) is paused"), value)?;
    let resume = shell::stepwell("resume", [&*args.run]);
    session.out.message(&format!("its attempts write a checkpoint and stop; {resume} continues from there"));
    Ok(Exit::Ok)
}
