//! `stepwell resume [RUN]`

use super::error::CliError;
use super::exit_code::Exit;
use super::go_on::go_on;
use super::report;
use super::session::Session;
use crate::core::status::RunStatus;
use crate::engine::Start;

pub fn resume(session: &Session, selector: &str) -> Result<Exit, CliError> {
    let (reader, id) = session.find_run(selector)?;
    let run = reader.run(id)?;
    drop(reader);
    match run.status {
        RunStatus::Succeeded => {
            session.out.message(&format!("run {id} ({}) has succeeded already", run.name));
            report::succeeded(session, id)?;
            Ok(Exit::Ok)
        }
        RunStatus::Canceled => Err(CliError::new(Exit::Canceled, "canceled", format!("run {id} was canceled")).hint(
            format!("start it again with `stepwell run {}`, or parts of it with `stepwell rerun`", run.workflow),
        )),
        _ => {
            session.out.message(&format!("resuming run {id} ({})", run.name));
            go_on(session, id, Start::Resume)
        }
    }
}
