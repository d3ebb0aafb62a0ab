//! `stepwell remote ssh`

use std::os::unix::process::CommandExt;

use clap::Args;

use crate::drive::rented::Desk;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_base::shell::quote;

/// Open a shell on a machine, or run a command there
///
/// The host key is kept in the state directory under the machine's name; a changed one is refused.
#[derive(Args, Debug)]
pub struct SshArgs {
    /// Key of the machine, or its first digits
    #[arg(value_name = "MACHINE")]
    pub machine: String,
    /// Command to run instead of a shell
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

pub fn ssh(session: &Session, args: &SshArgs) -> Result<Exit, CliError> {
    let desk = Desk::open(session)?;
    let machine = desk.find(&args.machine)?;
    let Some(shell) = desk.shell(&machine)?.filter(|_| machine.state.may_be_billed()) else {
        return Err(CliError::failed(format!("`{}` has no shell: it is {}", machine.plan.key, machine.state.as_str()))
            .hint("`stepwell remote status` asks the provider"));
    };
    let mut command = match &args.command[..] {
        [] => shell.interactive(),
        [only] => shell.command(only),
        words => shell.command(&words.iter().map(quote).collect::<Vec<_>>().join(" ")),
    };
    // This process becomes the shell: its terminal, signals and exit code are those of the shell.
    let error = command.exec();
    Err(CliError::internal("start the shell", error))
}
