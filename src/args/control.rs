//! Arguments that control existing runs: resume, end, branch off, answer.

use std::time::Duration;

use clap::Args;

use stepwell_base::duration;
use stepwell_base::json::{self, JsonError, Limit};
use stepwell_base::names::{InvalidName, RunName, check_label};

use super::assignment::assignment;

#[derive(Args, Debug)]
pub struct RunSelector {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN")]
    pub run: String,
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
    /// Reason for the pause, shown with the run
    #[arg(long, value_name = "TEXT", default_value = "asked for", allow_hyphen_values = true)]
    pub reason: String,
}

#[derive(Args, Debug)]
pub struct RetryArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
    /// Retry only this step; `STEP[3]` is one item of a fan-out
    #[arg(value_name = "STEP")]
    pub step: Option<String>,
}

/// Arguments of a new run with the workflow of an earlier one.
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
    pub name: Option<RunName>,
    /// Only submit the run; `stepwell worker` runs it
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
    /// Place to branch off: a step, or a training step of it that has a checkpoint
    #[arg(long, value_name = "STEP[:TRAIN_STEP]")]
    pub at: String,
}

#[derive(Args, Debug)]
pub struct ResumeArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
    /// Leave safe mode, which the engine enters after repeated crashes
    #[arg(long)]
    pub force: bool,
    /// Raise the run's compute budget to this, such as `20h`
    #[arg(long, value_name = "TIME", value_parser = duration_of)]
    pub maximum_compute: Option<Duration>,
    /// Raise the run's cost budget to this
    #[arg(long, value_name = "COST", allow_negative_numbers = true)]
    pub maximum_cost: Option<f64>,
}

/// Parses a text that is stored and shown. An empty one is refused, because it most often comes from an unset variable.
pub fn label(text: &str) -> Result<String, InvalidName> {
    check_label(text).map(|()| text.to_owned())
}

fn duration_of(text: &str) -> Result<Duration, String> {
    duration::parse(text).ok_or_else(|| format!("`{text}` is not a duration such as `20h`"))
}

#[derive(Args, Debug)]
pub struct ApproveArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// The step that waits
    #[arg(value_name = "STEP")]
    pub step: String,
    /// Reject: the step fails
    #[arg(long)]
    pub reject: bool,
    /// Name of the person who decides [default: the user name]
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub by: Option<String>,
    /// Comment, kept with the decision
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub comment: Option<String>,
}

#[derive(Args, Debug)]
pub struct SignalArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Name of the signal
    #[arg(value_name = "NAME", value_parser = label)]
    pub name: String,
    /// Value that the waiting step passes to other steps as `values.payload`
    #[arg(long, value_name = "JSON", default_value = "null", value_parser = payload, allow_hyphen_values = true)]
    pub payload: serde_json::Value,
}

fn payload(text: &str) -> Result<serde_json::Value, String> {
    json::parse(text.as_bytes(), Limit::PAYLOAD).map_err(|error| match error {
        JsonError::Syntax(error) => format!("{error}; text needs quotes of its own: '\"yes\"'"),
        limit => format!("{limit}; write it to a file, and send the name of that"),
    })
}
