//! `stepwell completions SHELL`

use clap::CommandFactory;
use clap_complete::Shell;

use super::args::Cli;
use super::error::CliError;
use super::exit_code::Exit;
use super::session::Session;

pub fn completions(session: &Session, shell: Shell) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "stepwell", &mut script);
    session.out.raw(&script)?;
    Ok(Exit::Ok)
}
