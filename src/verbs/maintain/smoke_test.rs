//! `stepwell smoke-test`: checks the contract in under a minute. Trains a tiny model twice, once uninterrupted and once
//! killed with SIGKILL in the middle, and compares every digest.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use crate::arguments::Params;
use crate::drive::trial::{ProcessUnderTest, Trial, differences, temporary_folder};
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::output::Output;
use crate::view::summary::highlight;
use stepwell_steps::Highlight;
use stepwell_store::Reader;

/// Longest time up to the first checkpoint.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// Train, kill, resume and compare a tiny model in a temporary directory
///
/// Trains twice, once to the end and once killed with SIGKILL after the first checkpoint, and compares every digest.
#[derive(Args, Debug)]
pub struct SmokeTestArgs {
    /// Compute device: `auto`, `flex` (CPU), or a GPU backend of this build
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub device: String,
    #[command(flatten)]
    pub params: Params,
    /// Keep the temporary state directories
    #[arg(long)]
    pub keep: bool,
}

pub fn smoke_test(session: &Session, args: &SmokeTestArgs) -> Result<Exit, CliError> {
    let started = Instant::now();
    let folder = temporary_folder("stepwell-smoke-", None)?;
    let whole = Trial::new(folder.path().join("whole"))?;
    let out = &session.out;

    out.message("training without interruption");
    whole.finish(&mut start(&whole, args)?)?;
    let expected = whole.outputs()?;

    let killed = Trial::new(folder.path().join("killed"))?.with_kernels_of(&whole)?;
    out.message("training again, to be killed after the first checkpoint");
    let at = kill_in_the_middle(&killed, args)?;
    out.message(&format!("killed at training step {at}; resuming"));
    killed.finish(&mut killed.start(["resume", "last"])?)?;
    let different = differences(&expected, &killed.outputs()?);

    report(out, &killed, expected.len(), &different, started.elapsed())?;
    if args.keep {
        out.message(&format!("kept {}", folder.keep().display()));
    }
    Ok(if different.is_empty() { Exit::Ok } else { Exit::Failed })
}

fn report(out: &Output, trial: &Trial, compared: usize, different: &[String], time: Duration) -> Result<(), CliError> {
    let values = values(trial)?;
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
        text.push_str(&format!(
            "\nsmoke test FAILED: these artifacts differ after kill -9 and resume: {}",
            different.join(", ")
        ));
    }
    let value = json!({ "passed": different.is_empty(), "compared": compared, "different": different, "seconds": seconds, "values": values });
    out.document(&text, value)
}

fn start(trial: &Trial, args: &SmokeTestArgs) -> Result<ProcessUnderTest, CliError> {
    let mut settings = vec![format!("device={}", args.device)];
    settings.extend(args.params.set.iter().map(|(name, value)| format!("{name}={value}")));
    let settings = settings.iter().flat_map(|setting| ["-S", setting.as_str()]);
    trial.start(["run", "smoke"].into_iter().chain(settings))
}

/// Waits for a committed training checkpoint, kills the engine, and returns the checkpoint's step.
fn kill_in_the_middle(trial: &Trial, args: &SmokeTestArgs) -> Result<u64, CliError> {
    let mut child = start(trial, args)?;
    let deadline = Instant::now() + TIME_LIMIT;
    loop {
        if let Some(status) = child.ended()? {
            return Err(trial.ended(status));
        }
        if let Some(step) = training_checkpoint(&trial.state) {
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
    steps.iter().find_map(|step| reader.checkpoints(run, &step.id).ok()?.first()?.checkpoint.last_step)
}

/// Figures of training and evaluation.
fn values(trial: &Trial) -> Result<BTreeMap<String, Value>, CliError> {
    let mut all = BTreeMap::new();
    for step in trial.steps()?.iter().filter(|step| highlight(step) == Highlight::Numbers) {
        let values = step.outputs.iter().flat_map(|outputs| &outputs.values);
        for (name, value) in values.filter(|(_, value)| value.is_number()) {
            all.insert(format!("{}.{name}", step.id), value.clone());
        }
    }
    Ok(all)
}
