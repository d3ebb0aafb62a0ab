//! Maps the arguments of the process to a verb, and its result to an exit code.

use std::process::ExitCode;
use std::sync::Arc;

use super::args::{BenchVerb, ConfigVerb, TrainingVerb, Verb};
use super::error::CliError;
use super::exit_code::Exit;
use super::output::Output;
use super::session::Session;
use super::*;

pub fn main() -> ExitCode {
    catch_file_size_limit();
    let cli = match command_line::read() {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    if let Verb::Worker(args) = &cli.verb
        && let Some(verb) = &args.verb
    {
        return worker::child(verb);
    }
    match Session::new(&cli.global) {
        Ok(session) => match dispatch(&session, cli.verb) {
            Ok(exit) => exit.into(),
            Err(error) => fail(&session.out, &error),
        },
        Err(error) => {
            let form = command_line::form(cli.global.output);
            fail(&Output { form, quiet: cli.global.quiet, state_dir: cli.global.state_dir }, &error)
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
    error.exit.into()
}

fn dispatch(session: &Session, verb: Verb) -> Result<Exit, CliError> {
    match verb {
        Verb::Run(args) => run::run(session, &args),
        Verb::StartTraining(args) => match args.verb {
            None => start_training::start(session, &args.start),
            Some(TrainingVerb::Start(start)) => start_training::start(session, &start),
            Some(TrainingVerb::Status(selector)) => show::show(session, &selector.run, false),
            Some(TrainingVerb::Cancel(selector)) => cancel::cancel(session, &selector.run),
            Some(TrainingVerb::List) => list::list(session, false),
        },
        Verb::Resume(args) => resume::resume(session, &args),
        Verb::Pause(args) => pause::pause(session, &args),
        Verb::Retry(args) => retry::retry(session, &args),
        Verb::Rerun(args) => rerun::rerun(session, &args),
        Verb::Fork(args) => fork::fork(session, &args),
        Verb::Cancel(selector) => cancel::cancel(session, &selector.run),
        Verb::Approve(args) => approve::approve(session, &args),
        Verb::Signal(args) => signal::signal(session, args),
        Verb::List(args) => list::list(session, args.all),
        Verb::Show(args) => show::show(session, &args.run, args.all),
        Verb::Logs(args) => logs::logs(session, &args),
        Verb::Watch(selector) => watch::watch(session, &selector.run),
        Verb::Explain(args) => explain::explain(session, &args),
        Verb::Workflow(verb) => workflow::workflow(session, &verb),
        #[cfg(feature = "train")]
        Verb::Model(verb) => model::model(session, &verb),
        Verb::Artifact(verb) => artifact::artifact(session, &verb),
        #[cfg(feature = "train")]
        Verb::Generate(args) => generate::generate(session, &args),
        Verb::Worker(args) => worker::serve(session, &args),
        Verb::Bench(BenchVerb::Engine(args)) => bench::engine(session, &args),
        #[cfg(feature = "train")]
        Verb::Bench(BenchVerb::Train(args)) => bench_train::train(session, &args),
        #[cfg(feature = "train")]
        Verb::Bench(BenchVerb::Generate(args)) => bench_peers::generate(session, &args),
        #[cfg(feature = "train")]
        Verb::Bench(BenchVerb::Tokenize(args)) => bench_peers::tokenize(session, &args),
        #[cfg(feature = "train")]
        Verb::Bench(BenchVerb::Contestant(args)) => bench_peers::contestant(&args),
        Verb::Schedule(verb) => schedule::schedule(session, &verb),
        Verb::Doctor => doctor::doctor(session),
        Verb::Chaos(args) => chaos::chaos(session, &args),
        Verb::SmokeTest(args) => smoke_test::smoke_test(session, &args),
        Verb::Db(verb) => db::db(session, &verb),
        Verb::Gc(args) => gc::gc(session, &args),
        Verb::Config(ConfigVerb::Show { origin }) => config::show(session, origin),
        Verb::Completions { shell } => completions::completions(session, shell),
    }
}
