//! Measures the chosen cases, in rounds.

use std::path::{Path, PathBuf};

use super::busy::Busy;
use super::case::Case;
use super::error::BenchError;
use super::floors;
use super::observe::load;
use super::statistics::Report;
use super::{million, scale, start, throughput, workflows};

/// Options of `bench engine`.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder on the file system to measure; all files go into a temporary folder below it.
    pub folder: PathBuf,
    pub cases: Vec<Case>,
    pub quick: bool,
    pub busy: bool,
    pub rounds: usize,
    pub rows: usize,
}

/// Amount of each kind of work per round.
struct Sizes {
    commits: usize,
    spawns: usize,
    chain: usize,
    fan_out: usize,
    commands: usize,
    scale: usize,
    idle_seconds: u64,
}

const FULL: Sizes =
    Sizes { commits: 1000, spawns: 200, chain: 2000, fan_out: 10_000, commands: 200, scale: 100_000, idle_seconds: 10 };
const QUICK: Sizes =
    Sizes { commits: 100, spawns: 30, chain: 200, fan_out: 1000, commands: 30, scale: 2000, idle_seconds: 2 };

/// Measures the chosen cases and removes the temporary folder afterwards.
///
/// # Errors
/// When a floor cannot be measured or the program under test fails.
pub fn engine(options: &Options, say: &dyn Fn(&str)) -> Result<Report, BenchError> {
    let sizes = if options.quick { QUICK } else { FULL };
    let folder = tempfile::Builder::new().prefix("stepwell-bench-").tempdir_in(&options.folder);
    let folder = folder.map_err(BenchError::system("make a temporary folder"))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut report = Report { cores, busy: options.busy, load_before: load(), ..Report::default() };
    let busy = options.busy.then(Busy::start);
    for round in 0..options.rounds.max(1) {
        say(&format!("round {} of {}", round + 1, options.rounds.max(1)));
        rates(folder.path(), &options.cases, &sizes, &mut report)?;
    }
    for case in &options.cases {
        match case {
            Case::Chain | Case::Fanout | Case::Command => continue,
            Case::Start => start::starts(folder.path(), options.rounds.max(1), &mut report)?,
            Case::Idle => start::idle(folder.path(), sizes.idle_seconds, &mut report)?,
            Case::Scale => scale::scale(folder.path(), sizes.scale, &mut report)?,
            Case::Million => million::million(folder.path(), options.rows, &mut report)?,
        }
        say(&format!("{case} is measured"));
    }
    drop(busy);
    report.load_after = load();
    report.at_least("chain", "floor_commit_1", 0.8);
    report.at_least("fanout", "floor_commit_1", 3.0);
    report.at_least("command", "floor_spawn", 0.7);
    Ok(report)
}

/// Measures one round: each rate right after its floor.
fn rates(folder: &Path, cases: &[Case], sizes: &Sizes, report: &mut Report) -> Result<(), BenchError> {
    if cases.contains(&Case::Chain) || cases.contains(&Case::Fanout) {
        report.add("floor_commit_1", "1/s", floors::rows_per_second(folder, sizes.commits, 1)?);
    }
    if cases.contains(&Case::Chain) {
        let workflow = workflows::chain("chain", sizes.chain);
        report.add("chain", "1/s", throughput::rate(folder, sizes.chain, &workflow)?);
    }
    if cases.contains(&Case::Fanout) {
        report.add("floor_commit_16", "1/s", floors::rows_per_second(folder, sizes.commits / 16, 16)?);
        report.add("floor_commit_256", "1/s", floors::rows_per_second(folder, sizes.commits / 64, 256)?);
        let workflow = workflows::fan_out("fan", sizes.fan_out);
        report.add("fanout", "1/s", throughput::rate(folder, sizes.fan_out, &workflow)?);
    }
    if cases.contains(&Case::Command) {
        report.add("floor_spawn", "1/s", floors::spawns_per_second(sizes.spawns)?);
        let workflow = workflows::commands("commands", sizes.commands);
        report.add("command", "1/s", throughput::rate(folder, sizes.commands, &workflow)?);
    }
    Ok(())
}
