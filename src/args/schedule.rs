//! Arguments of `stepwell schedule`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use stepwell_base::names::RunName;
use stepwell_workflow::timetable::CatchUp;

use super::assignment::assignment;

#[derive(Subcommand, Debug)]
pub enum ScheduleVerb {
    /// Add a schedule
    ///
    /// The workflow and its parameters are kept as they are now. `stepwell worker` starts the runs; `--catch-up`
    /// decides about times that it missed.
    Add(ScheduleAddArgs),
    /// List schedules
    #[command(alias = "ls")]
    List,
    /// Show a schedule
    Show {
        /// Name of the schedule
        name: String,
    },
    /// Pause a schedule: nothing starts until it is resumed
    Pause {
        /// Name of the schedule
        name: String,
    },
    /// Resume a schedule; times that were due during the pause are skipped
    Resume {
        /// Name of the schedule
        name: String,
    },
    /// Remove a schedule; its runs stay
    Remove {
        /// Name of the schedule
        name: String,
    },
    /// Print the next due times
    Next {
        /// Name of the schedule
        name: String,
        /// Number of times to print
        #[arg(short = 'n', long, default_value_t = 5)]
        count: usize,
    },
    /// Submit runs for past due times that have none
    Backfill {
        /// Name of the schedule
        name: String,
        /// First time, such as `2026-11-21`, `2026-11-21T03:00` (in the schedule's time zone) or `2026-11-21T03:00:00Z`
        #[arg(long, value_name = "TIME")]
        from: String,
        /// Last time, in the same forms; both ends count
        #[arg(long, value_name = "TIME")]
        to: String,
    },
}

#[derive(Args, Debug)]
pub struct ScheduleAddArgs {
    /// Name of the schedule; its runs are named after it and their times
    pub name: RunName,
    /// Minute, hour, day of the month, month and day of the week; a sixth field in front gives seconds
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true)]
    pub cron: String,
    /// Time zone of the expression, such as `Europe/Berlin`
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub time_zone: String,
    /// Name of a workflow, or path of a TOML file
    pub workflow: String,
    /// Set a parameter of the workflow (repeatable)
    #[arg(short = 'S', long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Times missed while no worker ran: start `all` of them, the `latest`, or `none`
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
