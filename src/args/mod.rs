//! Defines the command-line grammar. Doc comments in this module are the texts of `--help`.

mod assignment;
mod bench;
mod control;
mod look;
mod material;
#[cfg(feature = "train")]
mod peers;
mod schedule;
mod submit;
mod upkeep;
mod verbs;

pub(super) use bench::{BenchEngineArgs, BenchVerb};
pub(super) use control::{AgainArgs, ApproveArgs, ForkArgs, PauseArgs, RerunArgs, ResumeArgs, RetryArgs, SignalArgs};
pub(super) use look::{ExplainArgs, LogsArgs};
pub(super) use material::{ArtifactVerb, WorkflowArgs, WorkflowVerb};
#[cfg(feature = "train")]
pub(super) use material::{GenerateArgs, ModelVerb};
#[cfg(feature = "train")]
pub(super) use peers::{BenchContestantArgs, BenchGenerateArgs, BenchTokenizeArgs, BenchTrainArgs, Task};
pub(super) use schedule::{ScheduleAddArgs, ScheduleVerb};
pub(super) use submit::{ChaosArgs, ChaosTarget, RunArgs, SmokeTestArgs, StartArgs, SubmitArgs, TrainingVerb};
pub(super) use upkeep::{ConfigVerb, DbVerb, GcArgs, WorkerArgs, WorkerVerb};
pub use verbs::Cli;
pub(super) use verbs::{GlobalArgs, Verb};
