//! `stepwell completions SHELL`

use clap::CommandFactory;
use clap_complete::Shell;

use super::args::Cli;
use super::error::CliError;
use super::exit_code::Exit;

pub fn completions(shell: Shell) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "stepwell", &mut script);
    use std::io::Write;
    std::io::stdout().write_all(&script)?;
    Ok(Exit::Ok)
}
