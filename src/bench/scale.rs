//! Many steps: memory, steady rates, and a database with a million step rows.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use jiff::{Timestamp, Unit};

use crate::store::{Reader, RunRow};

use super::error::BenchError;
use super::observe::{memory, stepwell};
use super::start::{first_attempt, kill};
use super::statistics::{Report, median, percentile_99};
use super::throughput::{run, serve};
use super::workflows;

/// The most items of one fan-out.
const WIDEST: usize = 100_000;
/// How often each question is asked of the big database.
const QUESTIONS: usize = 100;

/// A chain and a fan-out of `count` steps.
pub(super) fn scale(folder: &Path, count: usize, report: &mut Report) -> Result<(), BenchError> {
    let cases = [
        (workflows::chain("chain", count), "chain_100k", "chain_100k_memory", "chain_100k_slowing"),
        (workflows::fan_out("fan", count), "fanout_100k", "fanout_100k_memory", "fanout_100k_slowing"),
    ];
    for (workflow, rate, peak, slowing) in cases {
        let state_dir = folder.join("scale");
        let measured = serve(folder, &state_dir, &workflow)?;
        report.add(rate, "1/s", count as f64 / measured.seconds);
        if let Some(size) = measured.peak {
            report.add(peak, "MiB", size);
        }
        report.add(slowing, "1", first_to_last(&state_dir, &measured.run)?);
        fs::remove_dir_all(&state_dir).map_err(BenchError::system("remove the temporary state directory"))?;
        report.at_most(peak, 200.0);
        report.at_most(slowing, 1.3);
    }
    Ok(())
}

/// The rate of the first tenth of the steps divided by that of the last.
fn first_to_last(state_dir: &Path, run: &RunRow) -> Result<f64, BenchError> {
    let steps = Reader::open(state_dir)?.steps(run.id)?;
    let mut ends: Vec<Timestamp> =
        steps.iter().filter(|step| step.attempts > 0).filter_map(|step| step.finished_at).collect();
    ends.sort();
    let tenth = ends.len() / 10;
    let seconds = |from: Timestamp, to: Timestamp| (to - from).total(Unit::Second).unwrap_or(f64::NAN).max(0.001);
    match (run.started_at, ends.get(tenth), ends.len().checked_sub(tenth + 1).and_then(|i| ends.get(i)), ends.last()) {
        (Some(start), Some(&first), Some(&before), Some(&last)) => Ok(seconds(before, last) / seconds(start, first)),
        _ => Ok(f64::NAN),
    }
}

/// Questions and a restart in a state directory with a run of `rows` steps.
pub(super) fn million(folder: &Path, rows: usize, report: &mut Report) -> Result<(), BenchError> {
    let state_dir = folder.join("million");
    kill_near_the_end(folder, &state_dir, rows, report)?;
    let (time, mut child) = first_attempt(&state_dir, &["resume", "last"])?;
    report.add("restart_million", "ms", time);
    kill(&mut child)?;
    for _ in 0..QUESTIONS {
        for (name, args) in [("list_million", ["list"].as_slice()), ("show_million", &["show", "last"])] {
            report.add(name, "ms", answer(&state_dir, args)?);
        }
    }
    claims(folder, &state_dir, report)?;
    for name in ["list_million", "show_million"] {
        let samples = report.figures.get(name).map(|figure| figure.samples.clone()).unwrap_or_default();
        report.add(
            if name == "list_million" { "list_million_p99" } else { "show_million_p99" },
            "ms",
            percentile_99(&samples),
        );
    }
    fs::remove_dir_all(&state_dir).map_err(BenchError::system("remove the temporary state directory"))?;
    report.at_most("restart_million", 1000.0);
    for name in ["list_million_p99", "show_million_p99", "claim_million_p99"] {
        report.at_most(name, 20.0);
    }
    Ok(())
}

/// Fan-outs one after another; the last step is a program that is killed with the engine.
fn kill_near_the_end(folder: &Path, state_dir: &Path, rows: usize, report: &mut Report) -> Result<(), BenchError> {
    let mut text = "name = \"million\"\n".to_owned();
    let fans = rows.div_ceil(WIDEST).max(1);
    for i in 0..fans {
        let (width, needs) = (rows / fans, i.checked_sub(1).map(|before| format!("needs = [\"f{before}\"]\n")));
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "[[step]]\nid = \"f{i}\"\nkind = \"noop\"\nfor_each = \"range({width})\"\n{}",
            needs.unwrap_or_default()
        );
    }
    let _ = write!(
        text,
        "[[step]]\nid = \"last\"\nkind = \"command\"\nneeds = [\"f{}\"]\nwith.argv = [\"sleep\", \"3600\"]\n",
        fans - 1
    );
    let file = folder.join("million.toml");
    fs::write(&file, text).map_err(BenchError::system("write the workflow"))?;
    let started = Instant::now();
    let arguments = ["--quiet", "run", &file.to_string_lossy(), "--no-reuse"];
    let mut child = stepwell(state_dir, &arguments)?.spawn().map_err(BenchError::system("start the engine"))?;
    let mut running = false;
    while !running {
        thread::sleep(Duration::from_millis(200));
        if let Some(status) = child.try_wait().map_err(BenchError::system("wait for the engine"))? {
            return Err(BenchError::Child { command: "run".to_owned(), what: format!("ended with {status}") });
        }
        // The database appears a moment after the process.
        running = Reader::open(state_dir)
            .and_then(|reader| reader.step(reader.resolve_run("last")?, &"last".into()))
            .is_ok_and(|step| step.attempts > 0);
    }
    report.add("fanouts_million", "1/s", rows as f64 / started.elapsed().as_secs_f64());
    if let Some(size) = memory(child.id(), "VmHWM:") {
        report.add("memory_million", "MiB", size);
    }
    kill(&mut child)
}

fn answer(state_dir: &Path, args: &[&str]) -> Result<f64, BenchError> {
    let mut command = stepwell(state_dir, args)?;
    let started = Instant::now();
    let status = command.stdout(Stdio::null()).status().map_err(BenchError::system("start the program"))?;
    if status.success() {
        return Ok(started.elapsed().as_secs_f64() * 1000.0);
    }
    Err(BenchError::Child { command: args.join(" "), what: format!("ended with {status}") })
}

/// From the end of one step to the claim of the next is one commit: the time between two claims of a chain.
fn claims(folder: &Path, state_dir: &Path, report: &mut Report) -> Result<(), BenchError> {
    let measured = run(folder, state_dir, &workflows::chain("claims", 1000))?;
    let steps = Reader::open(state_dir)?.steps(measured.run.id)?;
    let starts: Vec<Timestamp> = steps.iter().filter_map(|step| step.started_at).collect();
    let pauses: Vec<f64> =
        starts.windows(2).map(|pair| (pair[1] - pair[0]).total(Unit::Millisecond).unwrap_or(f64::NAN)).collect();
    report.add("claim_million", "ms", median(&pauses));
    report.add("claim_million_p99", "ms", percentile_99(&pauses));
    Ok(())
}
