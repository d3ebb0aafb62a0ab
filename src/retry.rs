//! `stepwell retry RUN [STEP]`

use super::args::RetryArgs;
use super::error::CliError;
use super::exit_code::Exit;
use super::go_on::go_on;
use super::session::Session;
use stepwell_base::ids::StepId;
use stepwell_engine::Start;

pub fn retry(session: &Session, args: &RetryArgs) -> Result<Exit, CliError> {
    let (reader, id) = session.find_kept_run(&args.run)?;
    let step = args.step.as_deref().map(StepId::from);
    if let Some(step) = &step {
        reader.step(id, step)?;
    }
    drop(reader);
    go_on(session, id, Start::Retry { step })
}
