//! The verbs, and the options that all of them share.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use stepwell_config::{ColorChoice, OutputFormat};

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

/// Run durable workflows: from raw text to a trained, exported language model, or any other long pipeline. Kill it at
/// any moment; `resume` continues to the same bits.
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
    /// Directory of runs, artifacts and the database [default: ./state]
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Form of standard output: for people, or versioned JSON
    #[arg(long, global = true, value_name = "FORM", value_parser = PossibleValuesParser::new(OutputFormat::NAMES).try_map(|name| name.parse::<OutputFormat>()))]
    pub output: Option<OutputFormat>,
    /// When to use colours on standard error
    #[arg(long, global = true, value_name = "WHEN", value_parser = PossibleValuesParser::new(ColorChoice::NAMES).try_map(|name| name.parse::<ColorChoice>()))]
    pub color: Option<ColorChoice>,
    /// Print errors only
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Submit a workflow and run it in the foreground
    ///
    /// Prints the run's id once the run is durable. Ctrl-C lets the running steps write a checkpoint; `stepwell resume`
    /// continues the run.
    Run(RunArgs),
    /// Train a language model: `quickstart` on an embedded corpus, `pretrain` on your own text
    ///
    /// Without an argument it runs `quickstart`. Given a text, it runs `pretrain` on that text.
    StartTraining(StartTrainingArgs),
    /// Resume an interrupted, paused or failed run
    ///
    /// Steps that succeeded are kept, and the others continue from their newest checkpoint. If an engine is running, it
    /// resumes the run; otherwise this process drives it.
    Resume(ResumeArgs),
    /// Pause a run: its attempts write a checkpoint and stop until `resume`
    Pause(PauseArgs),
    /// Retry a failed step, or all of them, even while the rest of the run continues
    Retry(RetryArgs),
    /// Rerun a step and everything after it, in a new run that reuses the rest
    ///
    /// Other steps are reused where equal ones have succeeded before; `--set` changes parameters of the new run.
    Rerun(RerunArgs),
    /// Fork a run at a step, or at a checkpoint within it, with other parameters
    ///
    /// The new run takes over the steps before that place where they are equal. With `STEP:TRAIN_STEP` it continues
    /// from that checkpoint.
    Fork(ForkArgs),
    /// Stop a run for good, with all its processes
    ///
    /// A canceled run cannot be resumed; `stepwell rerun` starts it again as a new run.
    Cancel(RunSelector),
    /// Answer a step that waits for a person
    ///
    /// The step succeeds, or fails with `--reject`. No engine has to be running.
    Approve(ApproveArgs),
    /// Send a signal to a run, for a step that waits for it now or later
    ///
    /// A signal is kept until a step takes it. No engine has to be running.
    Signal(SignalArgs),
    /// List runs, newest first, with what they wait for
    ///
    /// Shows every run that has not ended and the newest 20 that have; `--all` shows the others too.
    #[command(alias = "ls")]
    List(ListArgs),
    /// Show a run: its steps, their outputs and progress
    #[command(alias = "status")]
    Show(ShowArgs),
    /// Print the output of a run's attempts
    Logs(LogsArgs),
    /// Follow a run that another process drives
    Watch(OptionalRun),
    /// Explain why a step ran, was reused, or waits
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
    /// Continue a prompt with a trained model
    #[cfg(feature = "train")]
    Generate(GenerateArgs),
    /// Run everything that is pending or interrupted in this state directory
    ///
    /// Serves new submissions and schedules until it is stopped. It copies the exports of finished runs to `exports/`
    /// in the state directory.
    Worker(WorkerArgs),
    /// Measure how fast this machine runs steps
    #[command(subcommand)]
    Bench(BenchVerb),
    /// Start workflows by the clock
    #[command(subcommand)]
    Schedule(ScheduleVerb),
    /// Report what this machine and build can do
    Doctor,
    /// Train, kill, resume and compare a tiny model in a temporary directory
    SmokeTest(SmokeTestArgs),
    /// Run a workflow under random SIGKILLs and count violations
    ///
    /// The workflow first runs without interruption, then again under SIGKILL. Violations are lost events, repeated
    /// commits, orphan processes, different outputs and damaged tables; any of them gives exit code 3.
    Chaos(ChaosArgs),
    /// Remove files that nothing refers to, and runs that the retention policy does not keep
    Gc(GcArgs),
    /// Check, copy and restore the state database
    #[command(subcommand)]
    Db(DbVerb),
    /// Show settings
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Print a shell completion script
    Completions {
        /// Shell that the script is for
        #[arg(value_enum)]
        shell: Shell,
    },
}
