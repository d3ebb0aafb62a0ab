//! Trains with every contestant in turns: a few steps each, round after round.

use std::path::Path;

use super::material::Material;
use super::mode::Mode;
use super::options::TrainOptions;
use super::report::{OURS, Row, THEIRS, TrainReport, rates};
use super::worker::{GemmRate, Turn};
use crate::contest::{Contestant, Launch, Peer, in_turns};
use crate::error::BenchError;
use crate::observe::{load, stepwell};
use crate::statistics::median;
use stepwell_train::device;

/// Rows and columns of the matrix product whose rate counts as the peak.
const GEMM_SIZE: usize = 1024;

/// A contestant and its answers so far.
struct Entry {
    contestant: Contestant,
    system: &'static str,
    mode: Mode,
    first: f64,
    timed: Turn,
    losses: Vec<f64>,
    /// Processor time of the timed steps.
    cpu: Option<f64>,
    gemm: f64,
}

/// Trains with every contestant and removes the temporary folder afterwards.
///
/// # Errors
/// When the options make no sense, or a contestant cannot be started or fails.
pub fn train(options: &TrainOptions, say: &dyn Fn(&str)) -> Result<TrainReport, BenchError> {
    let device = device::resolve(&options.device)?;
    let material = Material::new(options, device)?;
    let folder = tempfile::Builder::new().prefix("stepwell-bench-").tempdir();
    let folder = folder.map_err(BenchError::system("make a temporary folder"))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut report = TrainReport {
        preset: options.preset.clone(),
        device: device.to_owned(),
        batch: options.samples(),
        rounds: options.rounds.max(1),
        steps_per_round: options.steps.max(1),
        z_loss: material.plan.z_loss,
        cores,
        load_before: load(),
        ..TrainReport::of(&material.shape)
    };
    say("writing weights and batches");
    material.write(folder.path(), options.tokens.as_deref())?;
    let mut entries = Vec::new();
    for launch in launches(options, folder.path())? {
        entries.push(enter(launch, say)?);
    }
    for round in 0..report.rounds {
        say(&format!("round {} of {}", round + 1, report.rounds));
        for index in in_turns(entries.len(), round) {
            entries[index].turn(report.steps_per_round)?;
        }
    }
    let rows = entries.into_iter().map(|entry| entry.into_row(&report)).collect();
    report.rows = rows;
    report.load_after = load();
    report.conclude();
    Ok(report)
}

/// Writes what contestants start from into a folder, which is created.
///
/// # Errors
/// When the options make no sense, or the folder cannot be written.
pub fn prepare(options: &TrainOptions, folder: &Path) -> Result<(), BenchError> {
    let device = device::resolve(&options.device)?;
    std::fs::create_dir_all(folder).map_err(BenchError::system("create the folder"))?;
    Material::new(options, device)?.write(folder, options.tokens.as_deref())
}

/// Lists all contestants: ours and PyTorch's modes, with each number of threads.
fn launches(options: &TrainOptions, folder: &Path) -> Result<Vec<(Launch, &'static str, Mode)>, BenchError> {
    let mut found = Vec::new();
    for &threads in &options.threads {
        for &precision in &options.precisions {
            let state_dir = folder.join("state");
            let mut command = stepwell(&state_dir, &["bench", "contestant", "train"])?;
            command.arg(folder).args(["--precision", &precision.to_string()]);
            found.push((OURS, Mode::of(precision), threads, command));
        }
        for &mode in &options.torch {
            let command = Peer::Train.command(&options.python, folder, &mode.to_string(), threads)?;
            found.push((THEIRS, mode, threads, command));
        }
    }
    let launch = |(system, mode, threads, command)| {
        let log = folder.join(format!("{system}-{mode}-{threads}.log"));
        (Launch { name: format!("{system} {mode}"), command, threads, log }, system, mode)
    };
    Ok(found.into_iter().map(launch).collect())
}

/// Starts a contestant and lets it warm up.
fn enter((launch, system, mode): (Launch, &'static str, Mode), say: &dyn Fn(&str)) -> Result<Entry, BenchError> {
    let mut contestant = Contestant::start(launch)?;
    let Turn { seconds, losses, .. } = contestant.ask(&format!("step {}", TrainOptions::WARM_UP))?;
    let first = seconds.first().copied().unwrap_or(f64::NAN);
    say(&format!("{}, {} threads: ready, first step {first:.1} s", contestant.name, contestant.threads));
    Ok(Entry { contestant, system, mode, first, timed: Turn::default(), losses, cpu: Some(0.0), gemm: 0.0 })
}

impl Entry {
    fn turn(&mut self, steps: usize) -> Result<(), BenchError> {
        let before = self.contestant.cpu_seconds();
        let Turn { seconds, losses, waited } = self.contestant.ask(&format!("step {steps}"))?;
        let used = self.contestant.cpu_seconds().zip(before).map(|(after, before)| after - before);
        self.cpu = self.cpu.zip(used).map(|(cpu, used)| cpu + used);
        self.timed.seconds.extend(seconds);
        self.timed.waited.extend(waited);
        self.losses.extend(losses);
        let GemmRate { flops_per_second } = self.contestant.ask(&format!("gemm {GEMM_SIZE}"))?;
        self.gemm = self.gemm.max(flops_per_second);
        Ok(())
    }

    fn into_row(self, report: &TrainReport) -> Row {
        let Entry { contestant, system, mode, first, timed, losses, cpu, gemm } = self;
        let seconds_per_step = median(&timed.seconds);
        let (tokens_per_second, model_flops_per_second) = rates(report, seconds_per_step);
        Row {
            system,
            mode: mode.to_string(),
            dtype: mode.dtype(),
            threads: contestant.threads,
            version: contestant.version.clone(),
            seconds_per_step,
            cpu_seconds_per_step: cpu.map(|cpu| cpu / timed.seconds.len() as f64),
            tokens_per_second,
            model_flops_per_second,
            mfu: None,
            peak_memory_mib: contestant.peak(),
            waiting_share: timed.waited.iter().sum::<f64>() / timed.seconds.iter().sum::<f64>(),
            startup_seconds: contestant.startup_seconds,
            first_step_seconds: first,
            gemm_flops_per_second: gemm,
            seconds: timed.seconds,
            losses,
        }
    }
}
