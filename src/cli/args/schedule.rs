//! Starting runs by the clock.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use crate::core::names::RunName;
use crate::core::timetable::CatchUp;

use super::assignment::assignment;

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
    /// Names the schedule, and its runs together with their times
    pub name: RunName,
    /// Minute, hour, day of the month, month, day of the week; with seconds in front, if wanted
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true)]
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
