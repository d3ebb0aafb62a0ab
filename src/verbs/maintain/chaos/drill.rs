//! Repeats the drill: start, wait, kill, inspect, resume.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::tally::Tally;
use super::{ChaosArgs, ChaosTarget};
use crate::drive::trial::{ProcessUnderTest, Trial, differences};
use crate::error::CliError;
use stepwell_base::ids::RunId;
use stepwell_base::rng::Rng;
use stepwell_engine::executors::{descendants, is_alive};
use stepwell_run::event::ProcessIdentity;
use stepwell_store::{EventRow, Reader, check};

/// Longest time that a process may outlive its engine or its worker: it must first read the end of its socket, or the
/// engine must notice.
const GRACE: Duration = Duration::from_secs(5);
/// Shortest pause between two kills.
const SHORTEST: Duration = Duration::from_millis(20);
/// Extends the longest pause for each consecutive kill without a commit before it.
const EXTRA_PAUSE: Duration = Duration::from_millis(500);

pub struct Drill {
    run: Vec<String>,
    kills: u64,
    target: ChaosTarget,
    rng: Rng,
    expected: BTreeMap<String, String>,
    /// Spreads the kills over one run.
    longest_pause: Duration,
    pub tally: Tally,
}

/// Committed state at one moment.
#[derive(Default)]
struct Snapshot {
    run: Option<RunId>,
    newest: Option<EventRow>,
    /// Processes of running attempts.
    workers: Vec<ProcessIdentity>,
    /// Training steps after the newest checkpoint.
    unsaved: u64,
}

impl Drill {
    /// Runs the workflow whole, to learn its outputs and its duration.
    pub fn new(args: &ChaosArgs, seed: u64, whole: &Trial) -> Result<Drill, CliError> {
        let mut run = vec!["run".to_owned(), args.workflow.clone()];
        for (name, value) in &args.params.set {
            run.extend(["-S".to_owned(), format!("{name}={value}")]);
        }
        let started = Instant::now();
        whole.finish(&mut whole.start(run.iter().map(String::as_str))?)?;
        let longest_pause = started.elapsed().mul_f64(2.0 / args.kills.max(1) as f64).max(SHORTEST * 2);
        let expected = whole.outputs()?;
        let (rng, tally) = (Rng::new(seed), Tally::default());
        Ok(Drill { run, kills: args.kills, target: args.target, rng, expected, longest_pause, tally })
    }

    /// Runs the workflow to its end on a fresh state directory, killing until all kills are spent. The workflow ran
    /// whole before, so a round that does not reach its end is a finding.
    pub fn round(&mut self, trial: &Trial, killed: impl FnMut(&Tally)) -> Result<(), CliError> {
        self.tally.rounds += 1;
        let mut engine = trial.start(self.run.iter().map(String::as_str))?;
        let ended = self.kill_until_done(trial, &mut engine, killed);
        if let Err(error) = ended {
            self.tally.record(|tally| &mut tally.failed_rounds, format!("failed: {}", error.message()));
            let family = descendants(engine.id());
            engine.kill()?;
            engine.wait()?;
            self.await_end(&family, "its engine");
        }
        Ok(())
    }

    fn kill_until_done(
        &mut self,
        trial: &Trial,
        engine: &mut ProcessUnderTest,
        mut killed: impl FnMut(&Tally),
    ) -> Result<(), CliError> {
        let (mut idle, mut last) = (0, Snapshot::default());
        while self.tally.kills() < self.kills {
            thread::sleep(self.pause(idle));
            if let Some(status) = engine.ended()? {
                if status.success() {
                    break;
                }
                return Err(trial.ended(status));
            }
            let before = Snapshot::take(trial);
            self.compare(trial, &last)?;
            let progressed = before.newest.as_ref().map(|row| row.seq) != last.newest.as_ref().map(|row| row.seq);
            idle = if progressed { 0 } else { idle + 1 };
            if self.kill_target(&before, engine)? {
                *engine = self.start_again(trial, before.run)?;
            }
            killed(&self.tally);
            last = before;
        }
        trial.finish(engine)?;
        self.compare(trial, &last)?;
        self.judge(trial)
    }

    fn pause(&mut self, idle: u32) -> Duration {
        SHORTEST + (self.longest_pause + EXTRA_PAUSE * idle).mul_f64(self.rng.uniform())
    }

    /// Kills a target; returns true if the engine is dead.
    fn kill_target(&mut self, before: &Snapshot, engine: &mut ProcessUnderTest) -> Result<bool, CliError> {
        let family = descendants(engine.id());
        let target = match self.target {
            ChaosTarget::All => {
                [ChaosTarget::Engine, ChaosTarget::Worker, ChaosTarget::All][self.rng.below(3) as usize]
            }
            one => one,
        };
        let workers: Vec<_> = before.workers.iter().filter(|worker| family.contains(worker)).collect();
        if target == ChaosTarget::Worker
            && let Some(victim) = (!workers.is_empty()).then(|| workers[self.rng.below(workers.len() as u64) as usize])
        {
            let family = descendants(victim.pid);
            kill(victim);
            self.tally.worker_kills += 1;
            self.tally.repeated_training_steps += before.unsaved;
            self.await_end(&family, "its worker");
            return Ok(false);
        }
        engine.kill()?;
        if target == ChaosTarget::All {
            family.iter().for_each(kill);
            self.tally.family_kills += 1;
        } else {
            self.tally.engine_kills += 1;
        }
        engine.wait()?;
        self.tally.repeated_training_steps += before.unsaved;
        self.await_end(&family, "its engine");
        Ok(true)
    }

    /// Waits for the processes of a dead engine or worker to end. Those of an engine must end without help; those of a
    /// worker may need the engine to end them. Counts and kills the rest as orphans.
    fn await_end(&mut self, family: &[ProcessIdentity], of: &str) {
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline && family.iter().any(is_alive) {
            thread::sleep(Duration::from_millis(5));
        }
        for orphan in family.iter().filter(|process| is_alive(process)) {
            let what = format!("orphan: process {} outlived {of} by {} s", orphan.pid, GRACE.as_secs());
            self.tally.record(|tally| &mut tally.orphans, what);
            kill(orphan);
        }
    }

    fn start_again(&self, trial: &Trial, submitted: Option<RunId>) -> Result<ProcessUnderTest, CliError> {
        match submitted.or_else(|| Snapshot::take(trial).run) {
            Some(_) => trial.start(["resume", "last"]),
            None => trial.start(self.run.iter().map(String::as_str)),
        }
    }

    /// Checks that everything committed before a kill is unchanged after it.
    fn compare(&mut self, trial: &Trial, before: &Snapshot) -> Result<(), CliError> {
        let (Some(run), Some(newest)) = (before.run, &before.newest) else { return Ok(()) };
        let found = Reader::open(&trial.state)?.events(Some(run), newest.seq - 1)?;
        self.tally.judge_newest(newest, &found, &trial.state.display().to_string());
        Ok(())
    }

    fn judge(&mut self, trial: &Trial) -> Result<(), CliError> {
        for name in differences(&self.expected, &trial.outputs()?) {
            let what = format!("different: output {name} in {}", trial.state.display());
            self.tally.record(|tally| &mut tally.different_outputs, what);
        }
        for problem in check(&trial.state)? {
            self.tally.record(|tally| &mut tally.damage, format!("damage: {}", problem.what));
        }
        let mut history = self.tally.history(trial.state.display().to_string());
        Reader::open(&trial.state)?.each_event(|row| history.observe(row.event))?;
        Ok(())
    }
}

fn kill(process: &ProcessIdentity) {
    if let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw)
        && is_alive(process)
    {
        // The process may have ended just now.
        let _ = kill_process(pid, Signal::KILL);
    }
}

impl Snapshot {
    /// Empty while no run exists.
    fn take(trial: &Trial) -> Snapshot {
        Snapshot::read(trial).unwrap_or_default()
    }

    fn read(trial: &Trial) -> Option<Snapshot> {
        let reader = Reader::open(&trial.state).ok()?;
        let run = reader.resolve_run("last").ok()?;
        let newest = reader.newest_event_of(run).ok()?;
        let running = reader.running_steps(run).ok()?;
        let (mut workers, mut unsaved) = (Vec::new(), 0);
        for step in &running {
            workers.extend(step.process.clone());
            let saved = step.last_step.unwrap_or(0);
            let done = reader.newest_metric(run, &step.id).ok()?.map_or(saved, |row| row.train_step.max(saved));
            unsaved += done - saved;
        }
        Some(Snapshot { run: Some(run), newest, workers, unsaved })
    }
}
