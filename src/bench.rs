//! `stepwell bench engine`: measures how fast this machine runs steps.

use serde_json::json;

use super::args::BenchEngineArgs;
use super::error::{CliError, chain};
use super::exit_code::Exit;
use super::output::table;
use super::session::Session;
use stepwell_bench::{self, BenchError, Case, Options, Report};

pub fn engine(session: &Session, args: &BenchEngineArgs) -> Result<Exit, CliError> {
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

pub(super) fn human(report: &Report) -> String {
    let figures = report.figures.iter().map(|(name, figure)| {
        let least = figure.samples.iter().copied().fold(f64::INFINITY, f64::min);
        let most = figure.samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        vec![(*name).to_owned(), number(figure.median), figure.unit.to_owned(), number(least), number(most)]
    });
    let mut text = table(&["measured", "median", "unit", "least", "most"], figures.collect());
    let ratios = report.ratios.iter().map(|ratio| {
        let verdict = if ratio.met { "met" } else { "missed" };
        vec![ratio.name.clone(), number(ratio.value), ratio.goal.clone(), verdict.to_owned()]
    });
    text.push('\n');
    text.push_str(&table(&["goal", "value", "limit", ""], ratios.collect()));
    let busy = if report.busy { ", all kept busy" } else { "" };
    text.push_str(&format!(
        "\n{} cores{busy}; load before: {}; after: {}",
        report.cores, report.load_before, report.load_after
    ));
    text
}

/// Rounds to about three figures; noise exceeds the rest.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        100.0.. => format!("{value:.0}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

impl From<BenchError> for CliError {
    fn from(error: BenchError) -> Self {
        match error {
            BenchError::Store(error) => error.into(),
            BenchError::Preset { .. } => CliError::not_found(error.to_string()).hints(error.hint()),
            BenchError::Missing { .. } | BenchError::Program { .. } | BenchError::NoRoom { .. } => {
                CliError::usage(chain(&error)).hints(error.hint())
            }
            #[cfg(feature = "train")]
            BenchError::Device(_) | BenchError::Shape(_) | BenchError::Plan(_) => CliError::usage(error.to_string()),
            other => CliError::internal("measure", &other),
        }
    }
}
