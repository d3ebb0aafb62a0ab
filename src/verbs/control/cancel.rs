//! `stepwell cancel RUN`

use clap::Args;
use serde_json::json;

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_base::shell;
use stepwell_engine::{self, Canceled, EXIT_GRACE};
use stepwell_run::status::{RunStatus, StepStatus};
use stepwell_store::StepRow;

/// Stop a run for good, with all its processes
///
/// A canceled run cannot be resumed; `stepwell rerun` starts it again as a new run.
#[derive(Args, Debug)]
pub struct CancelArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN")]
    pub run: String,
}

pub fn cancel(session: &Session, args: &CancelArgs) -> Result<Exit, CliError> {
    let (reader, id) = session.find_kept_run(&args.run)?;
    let name = reader.run(id)?.name;
    let at_work = |step: &StepRow| matches!(step.status, StepStatus::Running | StepStatus::Expanded);
    if reader.overview(id, 0)?.iter().any(at_work) {
        let seconds = EXIT_GRACE.as_secs();
        session.out.message(&format!("canceling: what does not end within {seconds} s of SIGTERM is killed"));
    }
    drop(reader);
    match stepwell_engine::cancel(session.state_dir(), id, &session.settings.limits())? {
        Canceled::Done | Canceled::EndedBefore(RunStatus::Canceled) => {
            let value = json!({ "run": { "id": id, "name": name, "status": "canceled" } });
            session.out.document(&format!("run {id} ({name}) is canceled"), value)?;
            Ok(Exit::Ok)
        }
        Canceled::EndedBefore(status) => {
            Err(CliError::usage(format!("run {id} ({name}) has {} already: nothing to cancel", status.as_str())))
        }
        Canceled::Requested => Err(CliError::failed(format!("run {id} ({name}) is still ending its attempts"))
            .hint(format!("{} tells its state; the request is kept", shell::stepwell("show", [&*args.run])))),
    }
}
