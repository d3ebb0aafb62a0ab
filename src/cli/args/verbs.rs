//! The verbs, and what is common to them.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::{ColorChoice, OutputFormat};

use super::bench::BenchVerb;
use super::control::{
    ApproveArgs, ForkArgs, OptionalRun, PauseArgs, RerunArgs, ResumeArgs, RetryArgs, RunSelector, SignalArgs,
};
use super::look::{ExplainArgs, ListArgs, LogsArgs, ShowArgs};
use super::material::{ArtifactVerb, WorkflowVerb};
#[cfg(feature = "train")]
use super::material::{GenerateArgs, ModelVerb};
use super::schedule::ScheduleVerb;
use super::submit::{ChaosArgs, RunArgs, SmokeTestArgs, StartTrainingArgs};
use super::upkeep::{ConfigVerb, DbVerb, GcArgs, WorkerArgs};

/// Durable workflows: from raw text to a trained, exported language model, or any other long
/// pipeline. Kill it at any moment; `resume` goes on to the same bits.
#[derive(Parser, Debug)]
#[command(name = "stepwell", version, propagate_version = true, infer_subcommands = false)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Args, Clone, Debug, Default)]
pub struct GlobalArgs {
    /// Where runs, artifacts and the database live [default: ./state]
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Form of standard output: for people, or versioned JSON
    #[arg(long, global = true, value_name = "FORM", value_parser = PossibleValuesParser::new(OutputFormat::NAMES).try_map(|name| name.parse::<OutputFormat>()))]
    pub output: Option<OutputFormat>,
    /// Colours on standard error
    #[arg(long, global = true, value_name = "WHEN", value_parser = PossibleValuesParser::new(ColorChoice::NAMES).try_map(|name| name.parse::<ColorChoice>()))]
    pub color: Option<ColorChoice>,
    /// Print errors only
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Submit a workflow and run it in the foreground
    Run(RunArgs),
    /// Train a language model: `quickstart` on an embedded corpus, `pretrain` on your own text
    StartTraining(StartTrainingArgs),
    /// Go on with an interrupted, paused or failed run
    Resume(ResumeArgs),
    /// Let the attempts of a run write a checkpoint and stop, until `resume`
    Pause(PauseArgs),
    /// Try a failed step again, or all of them, also while the rest of the run goes on
    Retry(RetryArgs),
    /// Run a step and everything after it again, in a new run that takes the rest from this one
    Rerun(RerunArgs),
    /// Branch off from a run: at a step, or at a checkpoint within it, with other parameters
    Fork(ForkArgs),
    /// Stop a run for good, with all its processes
    Cancel(RunSelector),
    /// Answer a step that waits for a person
    Approve(ApproveArgs),
    /// Send a signal to a run, for a step that waits for it now or later
    Signal(SignalArgs),
    /// List runs, newest first, with what they wait for
    ///
    /// Shows every run that has not ended and the newest 20 that have; `--all` shows the others as well.
    #[command(alias = "ls")]
    List(ListArgs),
    /// Show a run: its steps, their outputs and progress
    #[command(alias = "status")]
    Show(ShowArgs),
    /// Print what the attempts of a run wrote
    Logs(LogsArgs),
    /// Follow a run that another process drives
    Watch(OptionalRun),
    /// Say why a step ran, was reused, or waits
    Explain(ExplainArgs),
    /// List, check and draw workflows
    #[command(subcommand)]
    Workflow(WorkflowVerb),
    /// Describe models
    #[cfg(feature = "train")]
    #[command(subcommand)]
    Model(ModelVerb),
    /// Inspect, verify and copy out what runs produced
    #[command(subcommand)]
    Artifact(ArtifactVerb),
    /// Continue prompts with a trained model
    #[cfg(feature = "train")]
    Generate(GenerateArgs),
    /// Run whatever is pending or interrupted in this state directory
    Worker(WorkerArgs),
    /// Measure how fast this machine runs steps
    #[command(subcommand)]
    Bench(BenchVerb),
    /// Start workflows by the clock
    #[command(subcommand)]
    Schedule(ScheduleVerb),
    /// Say what this machine and build can do
    Doctor,
    /// Train, kill, resume and compare a tiny model in a temporary directory
    SmokeTest(SmokeTestArgs),
    /// Run a workflow under random SIGKILLs and count what must not happen
    Chaos(ChaosArgs),
    /// Remove files that nothing refers to, and runs that the retention policy does not keep
    Gc(GcArgs),
    /// Check, copy and put back the state database
    #[command(subcommand)]
    Db(DbVerb),
    /// Show settings
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Print a shell completion script
    Completions {
        #[arg(value_enum)]
        shell: Shell,
    },
}
