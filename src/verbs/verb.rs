//! All verbs, in the order of `stepwell --help`. A new verb is a file in a group, its `mod` line there, and here a variant
//! and an arm.

use clap::Subcommand;

use super::{control, look, maintain, start};
use crate::arguments::LogArgs;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::logs::LogDetail;

#[derive(Subcommand, Debug)]
pub enum Verb {
    Run(start::run::RunArgs),
    StartTraining(start::start_training::StartTrainingArgs),
    Batch(start::batch::BatchArgs),
    Chat(start::chat::ChatArgs),
    Worker(start::worker::WorkerArgs),
    Serve(start::serve::ServeArgs),
    #[command(subcommand)]
    Token(start::token::TokenVerb),
    #[command(subcommand)]
    Webhook(start::webhook::WebhookVerb),
    #[command(subcommand)]
    Schedule(start::schedule::ScheduleVerb),
    #[command(subcommand)]
    Remote(start::remote::RemoteVerb),
    Phases(start::phases::PhasesArgs),

    #[command(alias = "ls")]
    List(look::list::ListArgs),
    #[command(alias = "status")]
    Show(look::show::ShowArgs),
    Compare(look::compare::CompareArgs),
    Watch(look::watch::WatchArgs),
    Logs(look::logs::LogsArgs),
    Metrics(look::metrics::MetricsArgs),
    Report(look::report::ReportArgs),
    Samples(look::samples::SamplesArgs),
    Checkpoints(look::checkpoints::CheckpointsArgs),
    Explain(look::explain::ExplainArgs),
    #[command(subcommand)]
    Artifact(look::artifact::ArtifactVerb),
    #[cfg(feature = "train")]
    Generate(look::generate::GenerateArgs),
    #[command(subcommand)]
    Workflow(look::workflow::WorkflowVerb),
    #[command(subcommand)]
    Model(look::model::ModelVerb),
    #[command(subcommand)]
    Data(look::data::DataVerb),

    Pause(control::pause::PauseArgs),
    Resume(control::resume::ResumeArgs),
    Cancel(control::cancel::CancelArgs),
    Retry(control::retry::RetryArgs),
    Rerun(control::rerun::RerunArgs),
    Fork(control::fork::ForkArgs),
    Approve(control::approve::ApproveArgs),
    Signal(control::signal::SignalArgs),

    Tag(maintain::tag::TagArgs),
    Note(maintain::note::NoteArgs),
    Keep(maintain::keep::KeepArgs),
    #[command(alias = "delete")]
    Rm(maintain::rm::RmArgs),
    #[command(alias = "prune")]
    Gc(maintain::gc::GcArgs),
    #[command(subcommand)]
    Db(maintain::db::DbVerb),
    Doctor(maintain::doctor::DoctorArgs),
    #[command(subcommand)]
    Config(maintain::config::ConfigVerb),
    Completions(maintain::completions::CompletionsArgs),
    SmokeTest(maintain::smoke_test::SmokeTestArgs),
    Chaos(maintain::chaos::ChaosArgs),
    #[command(subcommand)]
    Bench(maintain::bench::BenchVerb),
}

impl Verb {
    pub fn run(&self, session: &Session) -> Result<Exit, CliError> {
        match self {
            Verb::Run(args) => start::run::run(session, args),
            Verb::StartTraining(args) => start::start_training::start_training(session, args),
            Verb::Batch(args) => start::batch::batch(session, args),
            Verb::Chat(args) => start::chat::chat(session, args),
            Verb::Worker(args) => start::worker::worker(session, args),
            Verb::Serve(args) => start::serve::serve(session, args),
            Verb::Token(verb) => start::token::token(session, verb),
            Verb::Webhook(verb) => start::webhook::webhook(session, verb),
            Verb::Schedule(verb) => start::schedule::schedule(session, verb),
            Verb::Remote(verb) => start::remote::remote(session, verb),
            Verb::Phases(args) => start::phases::phases(session, args),

            Verb::List(args) => look::list::list(session, args),
            Verb::Show(args) => look::show::show(session, args),
            Verb::Compare(args) => look::compare::compare(session, args),
            Verb::Watch(args) => look::watch::watch(session, args),
            Verb::Logs(args) => look::logs::logs(session, args),
            Verb::Metrics(args) => look::metrics::metrics(session, args),
            Verb::Report(args) => look::report::report(session, args),
            Verb::Samples(args) => look::samples::samples(session, args),
            Verb::Checkpoints(args) => look::checkpoints::checkpoints(session, args),
            Verb::Explain(args) => look::explain::explain(session, args),
            Verb::Artifact(verb) => look::artifact::artifact(session, verb),
            #[cfg(feature = "train")]
            Verb::Generate(args) => look::generate::generate(session, args),
            Verb::Workflow(verb) => look::workflow::workflow(session, verb),
            Verb::Model(verb) => look::model::model(session, verb),
            Verb::Data(verb) => look::data::data(session, verb),

            Verb::Pause(args) => control::pause::pause(session, args),
            Verb::Resume(args) => control::resume::resume(session, args),
            Verb::Cancel(args) => control::cancel::cancel(session, args),
            Verb::Retry(args) => control::retry::retry(session, args),
            Verb::Rerun(args) => control::rerun::rerun(session, args),
            Verb::Fork(args) => control::fork::fork(session, args),
            Verb::Approve(args) => control::approve::approve(session, args),
            Verb::Signal(args) => control::signal::signal(session, args),

            Verb::Tag(args) => maintain::tag::tag(session, args),
            Verb::Note(args) => maintain::note::note(session, args),
            Verb::Keep(args) => maintain::keep::keep(session, args),
            Verb::Rm(args) => maintain::rm::rm(session, args),
            Verb::Gc(args) => maintain::gc::gc(session, args),
            Verb::Db(verb) => maintain::db::db(session, verb),
            Verb::Doctor(args) => maintain::doctor::doctor(session, args),
            Verb::Config(verb) => maintain::config::config(session, verb),
            Verb::Completions(args) => maintain::completions::completions(session, args),
            Verb::SmokeTest(args) => maintain::smoke_test::smoke_test(session, args),
            Verb::Chaos(args) => maintain::chaos::chaos(session, args),
            Verb::Bench(verb) => maintain::bench::bench(session, verb),
        }
    }

    /// Lines of running commands that this verb shows.
    pub fn log_detail(&self) -> LogDetail {
        let logs = match self {
            Verb::Run(args) => args.submit.logs,
            Verb::StartTraining(args) => args.logs(),
            Verb::Batch(args) => args.logs,
            Verb::Worker(args) => args.logs,
            Verb::Serve(args) => args.logs,
            Verb::Watch(args) => args.logs,
            Verb::Resume(args) => args.logs,
            Verb::Retry(args) => args.logs,
            Verb::Rerun(args) => args.new.logs,
            Verb::Fork(args) => args.new.logs,
            _ => LogArgs::default(),
        };
        if logs.logs { LogDetail::All } else { LogDetail::LastLine }
    }
}
