//! `stepwell bench engine`: measures how fast this machine runs steps.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json;

use super::report::human;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_bench::{self, Case, Options};

/// Measure steps per second, start-up and idle cost, each against the floor of this disk and kernel
#[derive(Args, Debug)]
pub struct EngineArgs {
    /// Measure only these cases (repeatable); `scale` and `million` take minutes and run only when named
    #[arg(long, value_name = "CASE", value_delimiter = ',', value_parser = PossibleValuesParser::new(Case::NAMES).try_map(|name| name.parse::<Case>()))]
    pub only: Vec<Case>,
    /// Use small sizes: seconds instead of a minute
    #[arg(long)]
    pub quick: bool,
    /// Keep every core busy during the measurement
    #[arg(long)]
    pub busy: bool,
    /// Measure in a temporary folder below this one [default: beside the state directory]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Number of measurements of each rate; medians are reported
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub rounds: usize,
    /// Number of step rows in `million`
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub rows: usize,
}

pub fn engine(session: &Session, args: &EngineArgs) -> Result<Exit, CliError> {
    let beside = || {
        let state_dir = std::path::absolute(session.state_dir()).ok()?;
        state_dir.ancestors().skip(1).find(|folder| folder.is_dir()).map(ToOwned::to_owned)
    };
    let options = Options {
        folder: args.dir.clone().or_else(beside).unwrap_or_else(std::env::temp_dir),
        cases: if args.only.is_empty() { Case::USUAL.to_vec() } else { args.only.clone() },
        quick: args.quick,
        busy: args.busy,
        rounds: if args.quick { args.rounds.min(2) } else { args.rounds },
        rows: args.rows,
    };
    let report = stepwell_bench::engine(&options, &|text| session.out.message(text))?;
    session.out.document(&human(&report), json!({ "bench": "engine", "report": report }))?;
    Ok(Exit::Ok)
}
