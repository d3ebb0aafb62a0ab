//! The grammar of the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::bench::Case;
use crate::config::{ColorChoice, OutputFormat};
use crate::core::duration;
use crate::core::timetable::CatchUp;

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
    #[command(alias = "ls")]
    List,
    /// Show a run: its steps, their outputs and progress
    #[command(alias = "status")]
    Show(ShowArgs),
    /// Print what the attempts of a run wrote
    Logs(LogsArgs),
    /// Follow a run that another process drives
    Watch(RunSelector),
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

/// What to run, shared by `run` and `start-training`.
#[derive(Args, Clone, Debug)]
pub struct SubmitArgs {
    /// Set a parameter of the workflow (repeatable; `a.b=value` reaches into tables)
    #[arg(short = 'S', long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Name of the run [default: the workflow's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Leave a step out, with everything that needs it (repeatable)
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    pub skip: Vec<String>,
    /// Of all ready steps those of the highest priority are started first
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub priority: i32,
    /// Submitting the same key again gives the same run
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Run every step, even when an equal one has succeeded before
    #[arg(long)]
    pub no_reuse: bool,
    /// Only submit; `stepwell worker` runs it
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
    /// Name of a workflow, or path of a TOML file
    #[arg(default_value = "quickstart")]
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
pub struct RunSelector {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN")]
    pub run: String,
}

#[derive(Args, Debug)]
pub struct ShowArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Also every child of large fan-outs, which are counted otherwise
    #[arg(long)]
    pub all: bool,
}

#[derive(Args, Debug)]
pub struct OptionalRun {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
}

#[derive(Args, Debug)]
pub struct PauseArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Why, for whoever finds the run paused
    #[arg(long, value_name = "TEXT", default_value = "asked for")]
    pub reason: String,
}

#[derive(Args, Debug)]
pub struct RetryArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Only this step; `STEP[3]` is one item of a fan-out
    #[arg(value_name = "STEP")]
    pub step: Option<String>,
}

/// A new run with the workflow of an earlier one.
#[derive(Args, Debug)]
pub struct AgainArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Set a parameter of the workflow (repeatable; `a.b=value` reaches into tables)
    #[arg(short = 'S', long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Name of the new run [default: that of the earlier one]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Only submit; `stepwell worker` runs it
    #[arg(long, short)]
    pub detach: bool,
}

#[derive(Args, Debug)]
pub struct RerunArgs {
    #[command(flatten)]
    pub again: AgainArgs,
    /// The first step to run again
    #[arg(long, value_name = "STEP")]
    pub from_step: String,
}

#[derive(Args, Debug)]
pub struct ForkArgs {
    #[command(flatten)]
    pub again: AgainArgs,
    /// Where to branch off: a step, or a training step of it that has a checkpoint
    #[arg(long, value_name = "STEP[:TRAIN_STEP]")]
    pub at: String,
}

#[derive(Args, Debug)]
pub struct ResumeArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
    /// Leave safe mode, into which engines that died again and again have led
    #[arg(long)]
    pub force: bool,
    /// Let the run use more compute than its budget, such as `20h`
    #[arg(long, value_name = "TIME", value_parser = duration_of)]
    pub maximum_compute: Option<Duration>,
    /// Let the run cost more than its budget
    #[arg(long, value_name = "COST")]
    pub maximum_cost: Option<f64>,
}

fn duration_of(text: &str) -> Result<Duration, String> {
    duration::parse(text).ok_or_else(|| format!("`{text}` is not a duration such as `20h`"))
}

#[derive(Subcommand, Debug)]
pub enum ScheduleVerb {
    /// Add a schedule: the workflow and its parameters are kept as they are now
    Add(ScheduleAddArgs),
    /// List schedules
    #[command(alias = "ls")]
    List,
    /// Show a schedule
    Show { name: String },
    /// Start nothing until it is resumed
    Pause { name: String },
    /// Go on; what was due meanwhile is passed over
    Resume { name: String },
    /// Remove a schedule; its runs stay
    Remove { name: String },
    /// Print the next due times
    Next {
        name: String,
        #[arg(short = 'n', long, default_value_t = 5)]
        count: usize,
    },
    /// Submit the runs of past due times that have none
    Backfill {
        name: String,
        /// Such as `2026-11-21`, `2026-11-21T03:00` (in the schedule's time zone) or `2026-11-21T03:00:00Z`
        #[arg(long, value_name = "TIME")]
        from: String,
        #[arg(long, value_name = "TIME")]
        to: String,
    },
}

#[derive(Args, Debug)]
pub struct ScheduleAddArgs {
    pub name: String,
    /// Minute, hour, day of the month, month, day of the week; with seconds in front, if wanted
    #[arg(long, value_name = "EXPRESSION")]
    pub cron: String,
    /// Whose wall clock is meant, such as `Europe/Berlin`
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub time_zone: String,
    /// Name of a workflow, or path of a TOML file
    pub workflow: String,
    /// Set a parameter of the workflow (repeatable)
    #[arg(short = 'S', long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// What becomes of times at which no worker was there: start them `all`, the `latest`, or `none`
    #[arg(long, value_name = "POLICY", default_value = "latest", value_parser = PossibleValuesParser::new(["all", "latest", "none"]).map(|policy| catch_up(&policy)))]
    pub catch_up: CatchUp,
    /// Priority of the runs
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub priority: i32,
}

fn catch_up(policy: &str) -> CatchUp {
    match policy {
        "all" => CatchUp::All,
        "none" => CatchUp::None,
        _ => CatchUp::Latest,
    }
}

#[derive(Args, Debug)]
pub struct ApproveArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// The step that waits
    #[arg(value_name = "STEP")]
    pub step: String,
    /// Say no: the step fails
    #[arg(long)]
    pub reject: bool,
    /// Who decides [default: the user name]
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// Why; kept with the decision
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,
}

#[derive(Args, Debug)]
pub struct SignalArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Name of the signal
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What the waiting step gives to other steps as `values.payload`
    #[arg(long, value_name = "JSON", default_value = "null", value_parser = payload)]
    pub payload: serde_json::Value,
}

#[derive(Args, Debug)]
pub struct LogsArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
    /// Only this step
    #[arg(value_name = "STEP")]
    pub step: Option<String>,
    /// Go on printing until the run ends
    #[arg(short, long)]
    pub follow: bool,
}

#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Only this step
    #[arg(value_name = "STEP")]
    pub step: Option<String>,
}

#[derive(Subcommand, Debug)]
pub enum WorkflowVerb {
    /// List the workflows that can be run by name
    List,
    /// Check a workflow and its parameters without running it
    Validate(WorkflowArgs),
    /// Print the steps as a graph in Graphviz's dot language
    Graph(WorkflowArgs),
    /// Print the JSON schema of workflow files
    Schema,
}

#[derive(Args, Debug)]
pub struct WorkflowArgs {
    /// Name of a workflow, or path of a TOML file
    pub workflow: String,
    /// Set a parameter (repeatable)
    #[arg(short = 'S', long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
}

#[cfg(feature = "train")]
#[derive(Subcommand, Debug)]
pub enum ModelVerb {
    /// Print the exact number of parameters of a preset, part by part
    Describe {
        /// tiny, quickstart, small, deep60 or deep60-ungated
        #[arg(value_name = "PRESET")]
        name: String,
    },
    /// Logits and losses of given token windows, for comparison with other implementations
    #[command(hide = true)]
    Logits {
        /// Folder with `config.json` and `model.safetensors`
        folder: PathBuf,
        /// JSON file: {"windows": [[token ids]]}
        #[arg(long)]
        ids: PathBuf,
    },
    /// Token ids of every non-empty line of a text, for comparison with other implementations
    #[command(hide = true)]
    Tokenise {
        /// Path of a tokenizer.json
        tokenizer: PathBuf,
        text: PathBuf,
        /// At most this many lines
        #[arg(long, default_value_t = 1000)]
        lines: usize,
    },
}

#[derive(Subcommand, Debug)]
pub enum ArtifactVerb {
    /// List the artifacts of a run
    Ls(OptionalRun),
    /// Show what an artifact holds
    Show(ArtifactSelector),
    /// Copy an artifact out of the store
    Get {
        #[command(flatten)]
        artifact: ArtifactSelector,
        /// File or folder to create
        dest: PathBuf,
    },
    /// Read every byte of the outputs and checkpoints of a run, or of all runs, and compare digests
    Verify {
        /// Id, unique prefix of an id, name, or `last` [default: all runs]
        #[arg(value_name = "RUN", conflicts_with = "provenance")]
        run: Option<String>,
        /// Compare a copy with its provenance manifest; needs no state directory
        #[arg(long, num_args = 2, value_names = ["FILE", "PATH"])]
        provenance: Option<Vec<PathBuf>>,
    },
    /// Print where an artifact comes from: steps, arguments, inputs back to the imports, environments
    Provenance {
        #[command(flatten)]
        artifact: ArtifactSelector,
        /// Write the manifest into a new file
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Args, Debug)]
pub struct ArtifactSelector {
    /// A digest, a unique prefix of one, or RUN/STEP/NAME
    #[arg(value_name = "ARTIFACT")]
    pub artifact: String,
}

#[cfg(feature = "train")]
#[derive(Args, Debug)]
pub struct GenerateArgs {
    /// Run whose model is used: id, unique prefix, name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
    /// Text to continue
    #[arg(short, long, default_value = "")]
    pub prompt: String,
    /// Tokens to generate at most
    #[arg(short = 'n', long, default_value_t = 64)]
    pub max_new_tokens: usize,
    /// 0 is greedy
    #[arg(short, long, default_value_t = 0.8)]
    pub temperature: f32,
    /// Sample among the k likeliest tokens only
    #[arg(long)]
    pub top_k: Option<usize>,
    /// Sample among the likeliest tokens that together have this probability
    #[arg(long)]
    pub top_p: Option<f32>,
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

#[derive(Args, Debug)]
pub struct WorkerArgs {
    /// Exit when nothing is left to do
    #[arg(long)]
    pub exit_when_idle: bool,
    #[command(subcommand)]
    pub verb: Option<WorkerVerb>,
}

#[derive(Subcommand, Debug)]
pub enum WorkerVerb {
    /// Run one attempt: the engine starts this
    #[command(hide = true)]
    Exec,
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
    /// How many processes, or families of processes, are killed in all
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub kills: u64,
    /// Set a parameter of the workflow (repeatable)
    #[arg(short = 'S', long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// What is killed: the engine, a worker, or by turns one of these or everything at once
    #[arg(long, value_enum, default_value_t = ChaosTarget::All)]
    pub target: ChaosTarget,
    /// Of the random moments [default: the time]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Where the temporary state directories are made [default: the system's]
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

#[derive(Subcommand, Debug)]
pub enum BenchVerb {
    /// Steps per second, start-up and idle cost, each next to the floor of this disk and this kernel
    Engine(BenchEngineArgs),
    /// Training steps per second, next to PyTorch's in turns
    #[cfg(feature = "train")]
    Train(super::args_bench::BenchTrainArgs),
    /// Tokens per second of generation, next to those of `transformers` in turns
    #[cfg(feature = "train")]
    Generate(super::args_bench::BenchGenerateArgs),
    /// Text per second of encoding, next to that of `tokenizers` in turns
    #[cfg(feature = "train")]
    Tokenize(super::args_bench::BenchTokenizeArgs),
    /// One side of a measurement, told on standard input what to do
    #[cfg(feature = "train")]
    #[command(hide = true)]
    Contestant(super::args_bench::BenchContestantArgs),
}

#[derive(Args, Debug)]
pub struct BenchEngineArgs {
    /// Only these cases (repeatable); `scale` and `million` take minutes and run only when named
    #[arg(long, value_name = "CASE", value_delimiter = ',', value_parser = PossibleValuesParser::new(Case::NAMES).try_map(|name| name.parse::<Case>()))]
    pub only: Vec<Case>,
    /// Small sizes: seconds instead of a minute
    #[arg(long)]
    pub quick: bool,
    /// Keep every core busy meanwhile
    #[arg(long)]
    pub busy: bool,
    /// Measure in a temporary folder below this one [default: beside the state directory]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// How often to measure each rate; medians are reported
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub rounds: usize,
    /// Step rows of `million`
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub rows: usize,
}

#[derive(Subcommand, Debug)]
pub enum DbVerb {
    /// Check integrity, the event log's hash chain, and that the tables agree with the events
    Check,
    /// Copy the database into a new folder, also while an engine runs
    ///
    /// The folder has the form of a state directory: `stepwell list --state-dir PATH` reads it. The contents of
    /// artifacts and the logs of attempts are not inside, unless `--artifacts` is given.
    Backup {
        /// Folder to create
        path: PathBuf,
        /// Copy the contents of artifacts as well, and verify them
        #[arg(long)]
        artifacts: bool,
    },
    /// Put a backup in the place of the database; the one before it is kept under `backups/`
    Restore {
        /// Folder that `db backup` made, or a file of `backups/`
        path: PathBuf,
    },
}

#[derive(Args, Debug)]
pub struct GcArgs {
    /// Only say what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Prune all but the newest N ended runs of each workflow [default: retention.keep_runs]
    #[arg(long, value_name = "N")]
    pub keep_runs: Option<u64>,
    /// Prune runs that ended more than D days ago; with --keep-runs, those that neither rule keeps
    #[arg(long, value_name = "D")]
    pub keep_days: Option<u64>,
}

#[derive(Subcommand, Debug)]
pub enum ConfigVerb {
    /// Print the settings in force
    Show {
        /// Also say where each comes from
        #[arg(long)]
        origin: bool,
    },
}

fn payload(text: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{error}; text needs quotes of its own: '\"yes\"'"))
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not of the form NAME=VALUE")),
    }
}
