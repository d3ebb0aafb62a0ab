//! A reporter that records everything, and stands for an engine that asks to stop, or dies.

use std::cell::Cell;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use crate::{CheckpointLine, Reporter, StepError};
use stepwell_artifact::ArtifactStore;
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::protocol::{MetricRow, Progress, SeriesChange};

/// Time limit of a wait, longer than any attempt here takes.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// Records all reports. Keeps metrics as the database does: a rewind removes them.
#[derive(Default)]
pub struct Recorder {
    pub metrics: Vec<MetricRow>,
    pub series: Vec<SeriesChange>,
    /// Committed checkpoints, oldest first.
    pub checkpoints: Vec<Checkpoint>,
    pub notes: Vec<String>,
    pub rewinds: Vec<u64>,
    pub progress: Vec<Progress>,
    /// Asks to stop after this training step.
    pub stop_after: Option<u64>,
    /// Asks to stop after this many checks of the flag.
    pub looks_left: Cell<Option<u32>>,
    /// The engine dies when the metric of this step arrives; the process continues until it notices.
    pub die_at: Option<u64>,
    /// Number of checkpoints of this attempt that are committed before the engine dies at `die_at`.
    pub commits_before_death: usize,
    /// Number of checkpoints that are committed before the engine dies.
    pub commits_left: Option<u32>,
    /// Commits a checkpoint only after the metric of this step has arrived.
    pub hold_until: Option<u64>,
    /// Time from the announcement of a checkpoint to its commit.
    pub commit_takes: Duration,
    pub line: Arc<Line>,
}

/// Receives checkpoints from any thread.
#[derive(Default)]
pub struct Line {
    state: Mutex<LineState>,
    changed: Condvar,
}

#[derive(Default)]
struct LineState {
    artifacts: Option<ArtifactStore>,
    committed: Vec<Checkpoint>,
    /// Training step of the newest metric.
    train_step: u64,
    dead: bool,
    hold_until: u64,
    commit_takes: Duration,
}

impl Line {
    fn state(&self) -> MutexGuard<'_, LineState> {
        self.state.lock().unwrap()
    }

    /// Waits until `holds` is true and returns the state.
    #[track_caller]
    fn wait(&self, holds: impl Fn(&LineState) -> bool) -> MutexGuard<'_, LineState> {
        let waited = self.changed.wait_timeout_while(self.state(), WAIT_LIMIT, |state| !holds(state));
        let (state, waited) = waited.unwrap();
        assert!(!waited.timed_out(), "what an engine would wait for does not happen");
        state
    }
}

impl CheckpointLine for Line {
    fn checkpoint(&self, checkpoint: Checkpoint) -> Result<(), StepError> {
        let (artifacts, takes) = {
            let state = self.state();
            (state.artifacts.clone().unwrap(), state.commit_takes)
        };
        if let Some(artifact) = &checkpoint.artifact {
            artifacts.verify(artifact).expect("the files are there before the engine knows");
        }
        thread::sleep(takes);
        let mut state = self.wait(|state| state.dead || state.train_step >= state.hold_until);
        if state.dead {
            return Err(StepError::Interrupted);
        }
        state.committed.push(checkpoint);
        self.changed.notify_all();
        Ok(())
    }
}

impl Recorder {
    fn step(&self) -> u64 {
        self.metrics.last().map_or(0, |row| row.train_step)
    }

    fn dead(&self) -> bool {
        self.die_at.is_some_and(|step| self.step() >= step)
    }

    fn looks_are_used_up(&self) -> bool {
        match self.looks_left.get() {
            None => false,
            Some(0) => true,
            Some(left) => {
                self.looks_left.set(Some(left - 1));
                false
            }
        }
    }

    /// Starts an attempt.
    pub(super) fn connect(&mut self, artifacts: &ArtifactStore) {
        self.line = Arc::default();
        let mut state = self.line.state();
        state.artifacts = Some(artifacts.clone());
        state.hold_until = self.hold_until.unwrap_or(0);
        state.commit_takes = self.commit_takes;
    }

    /// Collects the checkpoints that were committed by the end of the attempt.
    pub(super) fn disconnect(&mut self) {
        self.checkpoints.append(&mut self.line.state().committed);
    }
}

impl Recorder {
    /// Collects the checkpoints of an attempt that panicked. Its thread commits what it was given.
    pub fn disconnect_dead(&mut self) {
        self.disconnect();
    }
}

impl Reporter for Recorder {
    fn progress(&mut self, progress: Progress) {
        self.progress.push(progress);
    }

    fn metric(&mut self, row: MetricRow) {
        let step = row.train_step;
        self.metrics.push(row);
        self.line.state().train_step = step;
        self.line.changed.notify_all();
        if self.dead() {
            self.line.wait(|state| state.committed.len() >= self.commits_before_death).dead = true;
            self.line.changed.notify_all();
        }
    }

    fn series(&mut self, change: SeriesChange) {
        self.series.push(change);
    }

    fn rewind(&mut self, last_step: u64) {
        self.rewinds.push(last_step);
        self.metrics.retain(|row| row.train_step <= last_step);
        self.series.retain(|change| !change.is_after(last_step));
        self.checkpoints.retain(|checkpoint| checkpoint.last_step.is_some_and(|step| step <= last_step));
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) -> Result<(), StepError> {
        match &mut self.commits_left {
            Some(0) => return Err(StepError::Interrupted),
            Some(left) => *left -= 1,
            None => {}
        }
        self.line.checkpoint(checkpoint)
    }

    fn checkpoint_line(&self) -> Arc<dyn CheckpointLine> {
        self.line.clone()
    }

    fn note(&mut self, message: String) {
        self.notes.push(message);
    }

    fn interrupted(&self) -> bool {
        self.dead() || self.stop_after.is_some_and(|step| self.step() >= step) || self.looks_are_used_up()
    }
}
