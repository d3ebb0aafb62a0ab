//! `stepwell resume [RUN]`

use super::args::ResumeArgs;
use super::error::CliError;
use super::exit_code::Exit;
use super::foreground;
use super::report;
use super::session::Session;
use crate::core::status::RunStatus;
use crate::engine;

pub fn resume(session: &Session, args: &ResumeArgs) -> Result<Exit, CliError> {
    let (reader, id) = session.find_run(&args.run)?;
    let run = reader.run(id)?;
    drop(reader);
    match run.status {
        RunStatus::Succeeded => {
            session.out.message(&format!("run {id} ({}) has succeeded already", run.name));
            report::succeeded(session, id)?;
            Ok(Exit::Ok)
        }
        RunStatus::Canceled => Err(CliError::new(Exit::Canceled, "canceled", format!("run {id} was canceled"))
            .hint(format!("start it again with `stepwell run {}`", run.workflow))),
        _ => {
            if args.force {
                engine::leave_safe_mode(session.state_dir())?;
            }
            session.out.message(&format!("resuming run {id} ({})", run.name));
            foreground::drive(session, id, !args.no_reuse)
        }
    }
}
