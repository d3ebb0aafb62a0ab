//! Arguments of verbs that submit a workflow.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::assignment::assignment;
use super::control::{OptionalRun, RunSelector, label};
use stepwell_base::names::RunName;

/// Options shared by `run` and `start-training`.
#[derive(Args, Clone, Debug)]
pub struct SubmitArgs {
    /// Set a parameter of the workflow (repeatable; `a.b=value` reaches into tables)
    #[arg(short = 'S', long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Name of the run [default: the workflow's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<RunName>,
    /// Leave out a step and everything that needs it (repeatable)
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    pub skip: Vec<String>,
    /// Priority of the run; ready steps of higher priority start first
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub priority: i32,
    /// Key of this submission; submitting the same key again returns the same run
    #[arg(long, value_name = "KEY", value_parser = label, allow_hyphen_values = true)]
    pub idempotency_key: Option<String>,
    /// Run every step, even if an equal one has succeeded before
    #[arg(long)]
    pub no_reuse: bool,
    /// Only submit the run; `stepwell worker` runs it
    #[arg(long, short)]
    pub detach: bool,
}

#[derive(Args, Debug)]
pub struct RunArgs {
    /// Name of a workflow, or path of a TOML file
    pub workflow: String,
    #[command(flatten)]
    pub submit: SubmitArgs,
}

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct StartTrainingArgs {
    #[command(subcommand)]
    pub verb: Option<TrainingVerb>,
    #[command(flatten)]
    pub start: StartArgs,
}

#[derive(Args, Clone, Debug)]
pub struct StartArgs {
    /// Your own text (a file, a folder or a glob, for `pretrain`), the name of a workflow, or the path of a TOML file
    #[arg(default_value = "quickstart", value_name = "TEXT or WORKFLOW")]
    pub workflow: String,
    /// Train only these phases of the workflow's `phases` parameter (repeatable)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub phase: Vec<String>,
    #[command(flatten)]
    pub submit: SubmitArgs,
}

#[derive(Subcommand, Debug)]
pub enum TrainingVerb {
    /// Start a training run (the same as without a verb)
    Start(StartArgs),
    /// Show a run
    Status(OptionalRun),
    /// Stop a run for good
    Cancel(RunSelector),
    /// List runs
    List,
}

#[derive(Args, Debug)]
pub struct SmokeTestArgs {
    /// Compute device: auto, flex, or a GPU backend of this build
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Set a parameter of the `smoke` workflow (repeatable)
    #[arg(short = 'S', long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Keep the temporary state directories
    #[arg(long)]
    pub keep: bool,
}

#[derive(Args, Debug)]
pub struct ChaosArgs {
    /// Name of a workflow, or path of a TOML file; its outputs must not depend on time
    pub workflow: String,
    /// Total number of kills; killing a whole process family counts as one
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub kills: u64,
    /// Set a parameter of the workflow (repeatable)
    #[arg(short = 'S', long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Victim of the kills: the engine, a worker, or at random one of these or everything at once
    #[arg(long, value_enum, default_value_t = ChaosTarget::All)]
    pub target: ChaosTarget,
    /// Seed of the random moments [default: the time]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Folder for the temporary state directories [default: the system's]
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// Keep the temporary state directories; those of a failed drill are always kept
    #[arg(long)]
    pub keep: bool,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChaosTarget {
    Engine,
    Worker,
    All,
}
