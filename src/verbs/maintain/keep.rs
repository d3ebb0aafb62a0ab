//! `stepwell keep RUN... [--undo]`

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::chosen_runs::{Kept, MOST_NAMED, chosen};
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_base::ids::RunId;
use stepwell_store::{Remark, Store};

/// Keep runs: neither `gc` nor `rm` removes them
///
/// Their child runs are kept with them. A kept run does not count towards `--keep-runs`.
#[derive(Args, Debug)]
pub struct KeepArgs {
    /// Ids, unique starts of ids, names, `last`, or patterns such as `'reg-*'`
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<String>,
    /// Let the runs go again
    #[arg(long, aliases = ["off", "remove", "delete", "release"])]
    pub undo: bool,
}

pub fn keep(session: &Session, args: &KeepArgs) -> Result<Exit, CliError> {
    let reader = session.reader()?;
    let mut runs: Vec<(RunId, String)> = Vec::new();
    for id in chosen(session, &reader, &args.runs, Kept::Chosen)? {
        runs.push((id, reader.run(id)?.name));
    }
    drop(reader);
    let remark = if args.undo { Remark::KeepNoLonger } else { Remark::Keep };
    let mut store = Store::open(session.state_dir())?;
    let (mut human, mut values) = (String::new(), Vec::new());
    let more = runs.len().saturating_sub(MOST_NAMED);
    for (at, (id, name)) in runs.into_iter().enumerate() {
        let annotation = store.remark(id, &remark, Timestamp::now())?;
        if at < MOST_NAMED {
            human.push_str(&format!("run {id} ({name}) is {}\n", if args.undo { "no longer kept" } else { "kept" }));
        }
        values.push(json!({ "id": id, "name": name, "kept_at": annotation.kept_at }));
    }
    if more > 0 {
        human.push_str(&format!("and {more} more\n"));
    }
    session.out.document(&human, json!({ "runs": values }))?;
    Ok(Exit::Ok)
}
