//! `stepwell smoke-test`: the contract in under a minute. Trains a tiny model twice, once
//! uninterrupted and once killed with SIGKILL in the middle, and compares every digest.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::args::SmokeTestArgs;
use super::error::CliError;
use super::exit_code::Exit;
use super::output::Output;
use super::session::Session;
use crate::core::status::RunStatus;
use crate::store::{Reader, StepRow};

const PATIENCE: Duration = Duration::from_secs(120);
/// What the run under test said, in its state directory.
const LOG: &str = "smoke.log";

pub fn smoke_test(session: &Session, args: &SmokeTestArgs) -> Result<Exit, CliError> {
    let started = Instant::now();
    let folder = tempfile::Builder::new().prefix("stepwell-smoke-").tempdir()?;
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let out = session.out;

    out.message("training without interruption");
    finish(&mut start(&whole, args)?, &whole)?;
    let expected = digests(&whole)?;

    out.message("training again, to be killed after the first checkpoint");
    let at = kill_in_the_middle(&killed, args)?;
    out.message(&format!("killed at training step {at}; resuming"));
    finish(&mut resume(&killed)?, &killed)?;
    let actual = digests(&killed)?;

    let different: Vec<&String> = expected.keys().filter(|name| expected.get(*name) != actual.get(*name)).collect();
    let sound = different.is_empty() && expected.len() == actual.len();
    report(out, &killed, expected.len(), &different, started.elapsed())?;
    if args.keep {
        out.message(&format!("kept {}", folder.keep().display()));
    }
    Ok(if sound { Exit::Ok } else { Exit::Failed })
}

fn report(out: Output, state: &Path, compared: usize, different: &[&String], time: Duration) -> Result<(), CliError> {
    let values = values(state)?;
    let mut text = String::new();
    for (name, value) in &values {
        text.push_str(&format!("{name:<40} {value}\n"));
    }
    let seconds = time.as_secs_f64();
    if different.is_empty() {
        text.push_str(&format!(
            "\nsmoke test passed: {compared} artifacts have equal digests after kill -9 and resume ({seconds:.0} s)"
        ));
    } else {
        let names: Vec<&str> = different.iter().map(|name| name.as_str()).collect();
        text.push_str(&format!(
            "\nsmoke test FAILED: these artifacts differ after kill -9 and resume: {}",
            names.join(", ")
        ));
    }
    let value = json!({ "passed": different.is_empty(), "compared": compared, "different": different, "seconds": seconds, "values": values });
    out.document(&text, value)
}

fn start(state: &Path, args: &SmokeTestArgs) -> Result<Child, CliError> {
    let mut command = stepwell(state)?;
    command.args(["run", "smoke", "-S", &format!("device={}", args.device)]);
    for (name, value) in &args.set {
        command.args(["-S", &format!("{name}={value}")]);
    }
    Ok(command.spawn()?)
}

fn resume(state: &Path) -> Result<Child, CliError> {
    Ok(stepwell(state)?.args(["resume", "last"]).spawn()?)
}

/// This program on another state directory; what it says is only shown when it fails.
fn stepwell(state: &Path) -> Result<Command, CliError> {
    let mut command = Command::new(std::env::current_exe()?);
    std::fs::create_dir_all(state)?;
    let log = std::fs::File::create(state.join(LOG))?;
    command.arg("--state-dir").arg(state).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    Ok(command)
}

fn finish(child: &mut Child, state: &Path) -> Result<(), CliError> {
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(ended(status, state)) }
}

/// The smoke run ended too early; what it said last is its reason.
fn ended(status: ExitStatus, state: &Path) -> CliError {
    let log = std::fs::read_to_string(state.join(LOG)).unwrap_or_default();
    CliError::failed(format!("the smoke run ended with {status}:\n{}", log.trim_end()))
}

/// Waits for a committed training checkpoint, kills the engine, and returns the checkpoint's step.
fn kill_in_the_middle(state: &Path, args: &SmokeTestArgs) -> Result<u64, CliError> {
    let mut child = start(state, args)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Err(ended(status, state));
        }
        if let Some(step) = training_checkpoint(state) {
            child.kill()?;
            child.wait()?;
            return Ok(step);
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Err(CliError::failed("the smoke run made no checkpoint within two minutes"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn training_checkpoint(state: &Path) -> Option<u64> {
    let reader = Reader::open(state).ok()?;
    let run = reader.resolve_run("last").ok()?;
    let steps = reader.steps(run).ok()?;
    let train = steps.iter().find(|step| step.kind == "train")?;
    reader.checkpoints(run, &train.id).ok()?.first()?.checkpoint.last_step
}

fn steps(state: &Path) -> Result<Vec<StepRow>, CliError> {
    let reader = Reader::open(state)?;
    let run = reader.resolve_run("last")?;
    let row = reader.run(run)?;
    if row.status != RunStatus::Succeeded {
        let log = std::fs::read_to_string(state.join(LOG)).unwrap_or_default();
        return Err(CliError::failed(format!("the smoke run is {}: {log}", row.status.as_str())));
    }
    Ok(reader.steps(run)?)
}

/// The digest of every output, by step and name.
fn digests(state: &Path) -> Result<BTreeMap<String, String>, CliError> {
    let mut all = BTreeMap::new();
    for step in steps(state)? {
        for (name, artifact) in step.outputs.iter().flat_map(|outputs| &outputs.artifacts) {
            all.insert(format!("{}/{name}", step.id), artifact.digest.to_string());
        }
    }
    Ok(all)
}

/// Figures of training and evaluation.
fn values(state: &Path) -> Result<BTreeMap<String, Value>, CliError> {
    let mut all = BTreeMap::new();
    for step in steps(state)?.iter().filter(|step| matches!(step.kind.as_str(), "train" | "eval")) {
        let values = step.outputs.iter().flat_map(|outputs| &outputs.values);
        for (name, value) in values.filter(|(_, value)| value.is_number()) {
            all.insert(format!("{}.{name}", step.id), value.clone());
        }
    }
    Ok(all)
}
