//! A database with a million step rows: queries, restarts and claims.

use std::fmt::Write;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use jiff::{Timestamp, Unit};
use serde_json::Value;

use stepwell_store::{Reader, StepRow};

use super::error::BenchError;
use super::observe::{memory, stepwell};
use super::start::{first_attempt, kill};
use super::statistics::{Report, median, percentile_99};
use super::workflows;

/// Largest number of items in one fan-out.
const WIDEST: usize = 100_000;
/// Number of times that each query is sent to the large database.
const QUESTIONS: usize = 500;
/// Number of times that the engine is killed and started again.
const RESTARTS: usize = 3;
/// Number of steps that are programs and whose claims are measured.
const CLAIMS: usize = 300;
const PAUSE: Duration = Duration::from_millis(200);

/// Runs `rows` steps. Kills the engine when its last fan-out has started, and once more after that fan-out.
pub(super) fn million(folder: &Path, rows: usize, report: &mut Report) -> Result<(), BenchError> {
    let state_dir = folder.join("million");
    let fans = rows.div_ceil(WIDEST).max(1);
    let file = folder.join("million.toml");
    fs::write(&file, workflow(rows / fans, fans)).map_err(BenchError::system("write the workflow"))?;
    let last_fan = format!("f{}", fans - 1);
    run_until(&state_dir, &["run", &file.to_string_lossy(), "--no-reuse"], Some(report), (&last_fan, has_begun))?;
    for _ in 0..RESTARTS {
        let (time, mut child) = first_attempt(&state_dir, &["resume", "last"])?;
        report.add("restart_million", "ms", time);
        kill(&mut child)?;
    }
    run_until(&state_dir, &["resume", "last"], None, ("last", |step| step.attempts > 0))?;
    for _ in 0..QUESTIONS {
        for (name, args) in [("list_million", ["list"].as_slice()), ("show_million", &["show", "last"])] {
            report.add(name, "ms", answer(&state_dir, args)?);
        }
    }
    for (name, of) in [("list_million_p99", "list_million"), ("show_million_p99", "show_million")] {
        let samples = report.figures.get(of).map(|figure| figure.samples.clone()).unwrap_or_default();
        report.add(name, "ms", percentile_99(&samples));
    }
    let claims = claims(folder, &state_dir)?;
    report.add("claim_million", "ms", median(&claims));
    report.add("claim_million_p99", "ms", percentile_99(&claims));
    fs::remove_dir_all(&state_dir).map_err(BenchError::system("remove the temporary state directory"))?;
    report.at_most("restart_million", 1000.0);
    for name in ["list_million_p99", "show_million_p99", "claim_million_p99"] {
        report.at_most(name, 20.0);
    }
    Ok(())
}

/// Writes fan-outs one after another. The last step is a program that is killed with the engine.
fn workflow(width: usize, fans: usize) -> String {
    let mut text = "name = \"million\"\n".to_owned();
    for i in 0..fans {
        let needs = i.checked_sub(1).map(|before| format!("needs = [\"f{before}\"]\n")).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = write!(text, "[[step]]\nid = \"f{i}\"\nkind = \"noop\"\nfor_each = \"range({width})\"\n{needs}");
    }
    let needs = fans - 1;
    let _ = write!(
        text,
        "[[step]]\nid = \"last\"\nkind = \"command\"\nneeds = [\"f{needs}\"]\nwith.argv = [\"sleep\", \"3600\"]\n"
    );
    text
}

fn has_begun(fan_out: &StepRow) -> bool {
    fan_out.children.is_some_and(|children| children.done > 0)
}

/// Runs the engine until `is_so_far` holds for a step, then kills it.
fn run_until(
    state_dir: &Path,
    verb: &[&str],
    report: Option<&mut Report>,
    (step, is_so_far): (&str, fn(&StepRow) -> bool),
) -> Result<(), BenchError> {
    let started = Instant::now();
    let mut command = stepwell(state_dir, &["--quiet"])?;
    let mut child = command.args(verb).spawn().map_err(BenchError::system("start the engine"))?;
    // The database appears a moment after the process.
    let ask = || {
        let reader = Reader::open(state_dir)?;
        let run = reader.resolve_run("last")?;
        Ok::<_, stepwell_store::StoreError>(is_so_far(&reader.step(run, &step.into())?))
    };
    while !ask().unwrap_or(false) {
        thread::sleep(PAUSE);
        if let Some(status) = child.try_wait().map_err(BenchError::system("wait for the engine"))? {
            return Err(BenchError::Child { command: verb.join(" "), what: format!("ended with {status}") });
        }
    }
    if let Some(report) = report {
        let reader = Reader::open(state_dir)?;
        let steps = reader.overview(reader.resolve_run("last")?, 0)?;
        let done: u64 = steps.iter().filter_map(|step| step.children).map(|children| children.done).sum();
        report.add("fanouts_million", "1/s", done as f64 / started.elapsed().as_secs_f64());
        if let Some(size) = memory(child.id(), "VmHWM:") {
            report.add("memory_million", "MiB", size);
        }
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

/// Milliseconds from the time, in the log, at which a program was ready until its claim was committed and reported.
/// The claim shares one transaction with the end of the previous program.
fn claims(folder: &Path, state_dir: &Path) -> Result<Vec<f64>, BenchError> {
    let file = folder.join("claims.toml");
    fs::write(&file, workflows::commands("claims", CLAIMS)).map_err(BenchError::system("write the workflow"))?;
    let mut command = stepwell(state_dir, &["--output", "json", "run", &file.to_string_lossy(), "--no-reuse"])?;
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(BenchError::system("start the engine"))?;
    let (mut ready, mut claims) = (None, Vec::new());
    let lines = child.stdout.take().into_iter().flat_map(|output| BufReader::new(output).lines());
    for line in lines.map_while(Result::ok) {
        let now = Timestamp::now();
        let told: Value = serde_json::from_str(&line).unwrap_or_default();
        let step = told["event"]["step"].as_str().map(str::to_owned);
        match told["event"]["type"].as_str() {
            Some("step_ready") => ready = step.zip(told["at"].as_str().and_then(|at| at.parse::<Timestamp>().ok())),
            Some("attempt_started") => {
                let since = ready.take().filter(|(id, _)| step.as_ref() == Some(id));
                claims.extend(since.and_then(|(_, since)| (now - since).total(Unit::Millisecond).ok()));
            }
            _ => {}
        }
    }
    let status = child.wait().map_err(BenchError::system("wait for the engine"))?;
    if !status.success() || claims.len() + 1 != CLAIMS {
        let what = format!("has told of {} claims and ended with {status}", claims.len());
        return Err(BenchError::Child { command: "run".to_owned(), what });
    }
    Ok(claims)
}
