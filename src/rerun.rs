//! `stepwell rerun RUN --from-step STEP`

use super::again::Source;
use super::args::RerunArgs;
use super::error::CliError;
use super::exit_code::Exit;
use super::session::Session;
use stepwell_run::run_options::Origin;

pub fn rerun(session: &Session, args: &RerunArgs) -> Result<Exit, CliError> {
    let source = Source::load(session, &args.again)?;
    let from_step = source.step(&args.from_step)?;
    let origin = Origin::Rerun { run: source.id(), from_step: from_step.clone() };
    source.start(session, &args.again, &from_step, origin, None)
}
