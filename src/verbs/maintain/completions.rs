//! `stepwell completions SHELL`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::command_line::Cli;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;

/// Print a shell completion script
///
/// For bash: `stepwell completions bash > ~/.local/share/bash-completion/completions/stepwell`.
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// Shell that the script is for
    #[arg(value_enum)]
    pub shell: Shell,
}

pub fn completions(session: &Session, args: &CompletionsArgs) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "stepwell", &mut script);
    session.out.raw(&script)?;
    Ok(Exit::Ok)
}
