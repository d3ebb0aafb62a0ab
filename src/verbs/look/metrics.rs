//! `stepwell metrics [RUN...] [STEP]`

mod chosen;
mod event_files;

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::watch::{WatchArgs, watch};
use crate::arguments::LogArgs;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::curve::{Charset, Size};
use crate::view::output::{Printed, SCHEMA};
use crate::view::series::{self, Columns, Curve, Report, View};
use chosen::Chosen;
use stepwell_base::{shell, suggest};
use stepwell_store::Reader;

/// Most series in a report for people.
const MOST_SERIES: usize = 20;
/// Rows of characters in a curve: beside tables, and alone.
const ROWS: usize = 16;
const ROWS_ALONE: usize = 20;
const LOSS: &str = "loss";

/// Show the metrics of runs: a curve, or all rows as CSV or JSON
///
/// Shows the loss of every training step, also of runs that have ended. A run that was forked starts with the rows of
/// the run that it was forked from. Several runs, and the items of a fan-out, are drawn over each other.
///
///   stepwell metrics                       the newest run
///   stepwell metrics base wide             two runs
///   stepwell metrics base train            one step of a run, like `--step train`
///   stepwell metrics base --csv > base.csv
///   stepwell metrics base --tensorboard boards
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct MetricsArgs {
    /// Ids, unique prefixes of ids, names, or `last`; a step may follow
    #[arg(value_name = "RUN", default_value = "last")]
    pub runs: Vec<String>,
    /// Only this step of each run
    #[arg(long, value_name = "STEP")]
    pub step: Option<String>,
    /// Draw this metric [default: loss]
    #[arg(long, aliases = ["key", "name", "metrics"], value_name = "NAME")]
    pub metric: Option<String>,
    /// Only the last N rows of each series
    #[arg(long, short_alias = 'n', aliases = ["tail", "limit"], value_name = "N")]
    pub last: Option<usize>,
    /// Print all metrics as CSV with a header
    #[arg(long, conflicts_with_all = ["json", "plot"])]
    pub csv: bool,
    /// Print all metrics as JSON, like `--output json`
    #[arg(long, conflicts_with = "plot")]
    pub json: bool,
    /// Print only the curve
    #[arg(long, aliases = ["chart", "curve"])]
    pub plot: bool,
    /// Write TensorBoard event files into this folder, one folder per series
    #[arg(long, value_name = "DIR", conflicts_with_all = ["csv", "json", "plot", "metric", "last"])]
    pub tensorboard: Option<PathBuf>,
    /// Watch the run, whose curve grows
    #[arg(long, short, alias = "watch", hide = true, conflicts_with_all = ["csv", "json", "plot", "metric", "last", "step", "tensorboard"])]
    pub follow: bool,
}

pub fn metrics(session: &Session, args: &MetricsArgs) -> Result<Exit, CliError> {
    if let (true, [run]) = (args.follow, args.runs.as_slice()) {
        return watch(session, &WatchArgs { run: run.clone(), logs: LogArgs::default() });
    }
    if args.follow {
        return Err(CliError::usage("one run can be followed at a time")
            .hint(format!("{} shows its curve while it grows", shell::stepwell("watch", [&*args.runs[0]]))));
    }
    let reader = session.reader()?;
    let chosen = chosen::choose(&reader, args)?;
    if let Some(folder) = &args.tensorboard {
        return event_files::write(session, &chosen, folder);
    }
    if args.csv {
        return csv(session, &reader, args, &chosen);
    }
    if args.json || session.out.is_json() {
        return json(session, &reader, args, &chosen);
    }
    let Drawn { curves, metric, more } = drawn(&reader, args, &chosen)?;
    let (view, rows) = if args.plot { (View::Plot, ROWS_ALONE) } else { (View::Full, ROWS) };
    let charset = if session.out.has_unicode() { Charset::Unicode } else { Charset::Ascii };
    let size = Size { columns: session.out.columns(), rows };
    let report = Report { curves: &curves, metric: &metric, more, view, size, charset };
    session.out.line(report.text().trim_end())?;
    Ok(Exit::Ok)
}

fn load(reader: &Reader, args: &MetricsArgs, chosen: &Chosen) -> Result<Curve, CliError> {
    let mut source = series::load(reader, chosen.run, &chosen.step)?;
    if let Some(most) = args.last {
        source.series.keep_last(most);
    }
    Ok(Curve { run: chosen.run, legend: chosen.legend.clone(), lineage: source.lineage, series: source.series })
}

/// The series in a report, and the name that is drawn.
struct Drawn {
    curves: Vec<Curve>,
    metric: String,
    /// Series that were not looked at.
    more: usize,
}

/// Loads the first series that have the wanted metric, or the loss, or else what the first one has.
fn drawn(reader: &Reader, args: &MetricsArgs, chosen: &[Chosen]) -> Result<Drawn, CliError> {
    let (mut curves, mut known, mut left) = (Vec::new(), BTreeSet::new(), chosen.iter());
    while curves.len() < MOST_SERIES
        && let Some(one) = left.next()
    {
        let curve = load(reader, args, one)?;
        known.extend(curve.series.names().into_iter().map(str::to_owned));
        if args.metric.as_ref().is_none_or(|wanted| curve.series.has(wanted)) {
            curves.push(curve);
        }
    }
    let metric = match (&args.metric, curves.first()) {
        (Some(wanted), Some(_)) => wanted.clone(),
        (Some(wanted), None) => {
            return Err(CliError::not_found(format!("there is no metric `{wanted}`")).hint(suggest::hint(
                wanted,
                "metrics",
                known.iter().map(String::as_str),
            )));
        }
        (None, _) if known.contains(LOSS) => LOSS.to_owned(),
        (None, first) => {
            let names = first.map(|curve| curve.series.names()).unwrap_or_default();
            names.first().map_or(LOSS, |name| name).to_owned()
        }
    };
    curves.retain(|curve| curve.series.has(&metric));
    if curves.is_empty() {
        return Err(CliError::not_found("no metrics were reported yet")
            .hint("the rows of a fork that came from its parent go when the parent is removed"));
    }
    Ok(Drawn { curves, metric, more: left.count() })
}

/// Loads each series twice, so that only one is in memory.
fn csv(session: &Session, reader: &Reader, args: &MetricsArgs, chosen: &[Chosen]) -> Result<Exit, CliError> {
    let mut columns = Columns::default();
    for chosen in chosen {
        columns.add(&load(reader, args, chosen)?.series);
    }
    session.out.line(&columns.header())?;
    for chosen in chosen {
        let curve = load(reader, args, chosen)?;
        let mut reader_is_gone = false;
        columns.rows(&curve, |lines| {
            reader_is_gone |= session.out.stream(lines)? == Printed::ReaderGone;
            Ok::<_, CliError>(())
        })?;
        if reader_is_gone {
            break;
        }
    }
    Ok(Exit::Ok)
}

fn json(session: &Session, reader: &Reader, args: &MetricsArgs, chosen: &[Chosen]) -> Result<Exit, CliError> {
    let mut parts = Vec::new();
    for chosen in chosen {
        parts.push(series::json(&load(reader, args, chosen)?).to_string());
    }
    let metric = json!(args.metric.as_deref().unwrap_or(LOSS));
    session.out.json_text(&format!(r#"{{"schema":{SCHEMA},"metric":{metric},"series":[{}]}}"#, parts.join(",")))?;
    Ok(Exit::Ok)
}
