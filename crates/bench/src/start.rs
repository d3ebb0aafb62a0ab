//! Start-up time of the engine, and its cost without work.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::error::BenchError;
use super::observe::{memory, stepwell, usage};
use super::statistics::Report;
use super::workflows;

const SLEEPER: &str =
    "name = \"sleeper\"\n[[step]]\nid = \"sleep\"\nkind = \"command\"\nwith.argv = [\"sleep\", \"600\"]\n";
/// Time for an engine to start and settle.
const SETTLE: Duration = Duration::from_secs(1);

/// Measures the time from the start of a process to its first committed attempt, in milliseconds: in a new state
/// directory, in an existing one, and after SIGKILL.
pub(super) fn starts(folder: &Path, rounds: usize, report: &mut Report) -> Result<(), BenchError> {
    let file = folder.join("start.toml");
    let path = file.to_string_lossy().into_owned();
    for round in 0..rounds {
        let state_dir = folder.join(format!("start-{round}"));
        fs::write(&file, workflows::chain("start", 3)).map_err(BenchError::system("write the workflow"))?;
        for name in ["start_new", "start"] {
            let (time, mut child) = first_attempt(&state_dir, &["run", &path, "--no-reuse"])?;
            report.add(name, "ms", time);
            child.wait().map_err(BenchError::system("wait for the engine"))?;
        }
        fs::write(&file, SLEEPER).map_err(BenchError::system("write the workflow"))?;
        let (_, mut child) = first_attempt(&state_dir, &["run", &path])?;
        kill(&mut child)?;
        let (time, mut child) = first_attempt(&state_dir, &["resume", "last"])?;
        report.add("restart", "ms", time);
        kill(&mut child)?;
        fs::remove_dir_all(&state_dir).map_err(BenchError::system("remove the temporary state directory"))?;
    }
    report.at_most("start", 30.0);
    report.at_most("restart", 50.0);
    Ok(())
}

/// Starts the engine and waits until it reports that the start of an attempt is committed. Returns milliseconds.
pub(super) fn first_attempt(state_dir: &Path, args: &[&str]) -> Result<(f64, Child), BenchError> {
    let mut command = stepwell(state_dir, &["--output", "json"])?;
    command.args(args).stdout(Stdio::piped());
    let started = Instant::now();
    let mut child = command.spawn().map_err(BenchError::system("start the engine"))?;
    let output = child.stdout.take().into_iter();
    let mut lines = output.flat_map(|output| BufReader::new(output).lines()).map_while(Result::ok);
    let found = lines.any(|line| line.contains("\"attempt_started\""));
    let time = started.elapsed().as_secs_f64() * 1000.0;
    if !found {
        let status = child.wait().map_err(BenchError::system("wait for the engine"))?;
        let what = format!("has started no step and ended with {status}");
        return Err(BenchError::Child { command: args.join(" "), what });
    }
    // Keeps reading, because the engine must not block on a full pipe.
    thread::spawn(move || lines.for_each(drop));
    Ok((time, child))
}

/// `kill -9`.
pub(super) fn kill(child: &mut Child) -> Result<(), BenchError> {
    child.kill().and_then(|()| child.wait()).map_err(BenchError::system("kill the engine"))?;
    Ok(())
}

/// Measures a `stepwell worker` without work, for `seconds`.
pub(super) fn idle(folder: &Path, seconds: u64, report: &mut Report) -> Result<(), BenchError> {
    let state_dir = folder.join("idle");
    let mut child = stepwell(&state_dir, &["worker"])?.spawn().map_err(BenchError::system("start the engine"))?;
    thread::sleep(SETTLE);
    let before = usage(child.id());
    thread::sleep(Duration::from_secs(seconds));
    if let (Some(before), Some(after), Some(size)) = (before, usage(child.id()), memory(child.id(), "VmRSS:")) {
        report.add("idle_cpu", "ms", 10.0 * (after.ticks - before.ticks) as f64);
        report.add("idle_wake_ups", "1", (after.wake_ups - before.wake_ups) as f64);
        report.add("idle_memory", "MiB", size);
    }
    kill(&mut child)?;
    fs::remove_dir_all(&state_dir).map_err(BenchError::system("remove the temporary state directory"))?;
    report.at_most("idle_cpu", 0.0);
    report.at_most("idle_wake_ups", 0.0);
    report.at_most("idle_memory", 25.0);
    Ok(())
}
