//! Runs the verb that the command line names, and turns its result into an exit code.

use std::process::ExitCode;
use std::sync::Arc;

use crate::command_line;
use crate::error::CliError;
use crate::session::Session;
use crate::verbs::Verb;
use crate::view::output::Output;
use stepwell_config::ColorChoice;

pub fn main() -> ExitCode {
    catch_file_size_limit();
    let cli = match command_line::read() {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    if let Verb::Worker(args) = &cli.verb
        && let Some(verb) = &args.verb
    {
        return verb.run();
    }
    match Session::new(&cli.global) {
        Ok(mut session) => {
            session.log_detail = cli.verb.log_detail();
            match cli.verb.run(&session) {
                Ok(exit) => exit.into(),
                Err(error) => fail(&session.out, &error),
            }
        }
        Err(error) => {
            let form = command_line::form(cli.global.output);
            let out = Output::new(form, cli.global.quiet, ColorChoice::Auto, cli.global.state_dir);
            fail(&out, &error)
        }
    }
}

/// Makes a write beyond `ulimit -f` fail with an error that names the file, instead of ending the process by a signal.
/// Programs of steps start with the default again.
fn catch_file_size_limit() {
    const SIGXFSZ: i32 = rustix::process::Signal::XFSZ.as_raw();
    // If the handler cannot be installed, the process works as before.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
}

fn fail(out: &Output, error: &CliError) -> ExitCode {
    out.error(error);
    error.kind.exit().into()
}
