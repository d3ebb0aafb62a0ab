//! `stepwell schedule add NAME --cron EXPRESSION WORKFLOW`

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json;

use super::{describe, local};
use crate::arguments::Params;
use crate::drive::load_workflow::load;
use crate::drive::new_schedule::{ScheduleTimes, add_schedule};
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_base::names::RunName;
use stepwell_engine::timetable;
use stepwell_workflow::timetable::CatchUp;

/// Add a schedule
///
/// The workflow and its parameters are kept as they are now. `stepwell worker` starts the runs; `--catch-up` decides
/// about times that it missed.
#[derive(Args, Debug)]
pub struct AddArgs {
    /// Name of the schedule; its runs are named after it and their times
    pub name: RunName,
    /// Minute, hour, day of the month, month and day of the week; a sixth field in front gives seconds
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true)]
    pub cron: String,
    /// Time zone of the expression, such as `Europe/Berlin`
    #[arg(long, aliases = ["tz", "timezone"], value_name = "ZONE", default_value = "UTC")]
    pub time_zone: String,
    /// Name of a workflow, or path of a TOML file
    pub workflow: String,
    #[command(flatten)]
    pub params: Params,
    /// Times missed while no worker ran: start `all` of them, the `latest`, or `none`
    #[arg(long, value_name = "POLICY", default_value = "latest", value_parser = PossibleValuesParser::new(["all", "latest", "none"]).map(|policy| catch_up(&policy)))]
    pub catch_up: CatchUp,
    /// Priority of the runs
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub priority: i32,
}

pub fn add(session: &Session, args: &AddArgs) -> Result<Exit, CliError> {
    // Wrong times are told before a wrong workflow.
    let table = timetable(&args.cron, &args.time_zone)?;
    let loaded = load(session, &args.workflow, &args.params.set)?;
    let times = ScheduleTimes {
        name: args.name.clone(),
        cron: args.cron.clone(),
        time_zone: args.time_zone.clone(),
        catch_up: args.catch_up,
        priority: args.priority,
    };
    let (row, first) = add_schedule(session, loaded, times)?;
    let text = format!("schedule {} starts {} next at {}", row.name, row.spec.name, local(&table, first));
    session.out.document(&text, json!({ "schedule": describe(&row, Some(&table)) }))?;
    session.out.message("hint: `stepwell worker` has to be running at that time, or catches up later");
    Ok(Exit::Ok)
}

fn catch_up(policy: &str) -> CatchUp {
    match policy {
        "all" => CatchUp::All,
        "none" => CatchUp::None,
        _ => CatchUp::Latest,
    }
}
