//! Brings the folders of all series up to date.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::changes::{Changes, Key};
use super::place::Place;
use super::series::{Haste, Series};
use crate::error::CliError;
use stepwell_base::ids::{RunId, StepId};
use stepwell_run::run_options::Origin;
use stepwell_store::{Reader, RunRow};

pub struct Mirror {
    reader: Reader,
    place: Place,
    series: HashMap<Key, Series>,
    /// Series that cannot be written, or have no room.
    given_up: HashSet<Key>,
    /// Runs with a mark for the next process.
    marked: HashSet<RunId>,
}

impl Mirror {
    pub fn open(state_dir: &Path, place: Place) -> Result<Mirror, CliError> {
        let reader = Reader::open(state_dir)?;
        Ok(Mirror { reader, place, series: HashMap::new(), given_up: HashSet::new(), marked: HashSet::new() })
    }

    /// Everything that an earlier process may have left out of date.
    pub fn left_open(&mut self) -> Changes {
        let mut changes = Changes::default();
        for run in self.place.open_runs() {
            self.marked.insert(run);
            // A run that is unknown or damaged has no rows; its mark is in nobody's way.
            let Ok(row) = self.reader.run(run) else { continue };
            let steps = self.reader.series_steps(run, forked(&row)).unwrap_or_default();
            for step in steps.iter().filter(|step| step.reused.is_none()) {
                changes.changed(run, &step.id, u64::MAX);
            }
            if row.stored_status.is_terminal() {
                changes.ended.insert(run);
            }
        }
        changes
    }

    /// Applies changes, and whatever waited for its time.
    ///
    /// # Errors
    /// The first failure; the other series are brought up to date all the same.
    pub fn apply(&mut self, mut changes: Changes, haste: Haste) -> Result<(), CliError> {
        self.add_unsaid(&mut changes, haste);
        let mut outcome = Ok(());
        for (key, from) in &changes.series {
            if self.given_up.contains(key) {
                continue;
            }
            let is_over = changes.paused.contains(key) || changes.ended.contains(&key.0);
            let done = self.update(key, *from, if is_over { Haste::Now } else { haste });
            if is_over || done.is_err() {
                self.series.remove(key);
            }
            if done.is_err() {
                self.given_up.insert(key.clone());
            }
            outcome = outcome.and(done);
        }
        for run in &changes.ended {
            self.given_up.retain(|(of, _)| of != run);
            if self.marked.remove(run) {
                // A mark that stays costs the next process a comparison.
                let _ = self.place.mark_done(*run);
            }
        }
        outcome
    }

    /// Adds series that nobody has named, with a step from which nothing changed.
    fn add_unsaid(&self, changes: &mut Changes, haste: Haste) {
        let Changes { series, paused, started, ended } = changes;
        let now = Instant::now();
        let is_due = |series: &Series| series.due().is_some_and(|due| due <= now);
        for (key, known) in &self.series {
            if haste == Haste::Now || ended.contains(&key.0) || is_due(known) {
                series.entry(key.clone()).or_insert(u64::MAX);
            }
        }
        for key in &*paused {
            series.entry(key.clone()).or_insert(u64::MAX);
        }
        for run in &*started {
            if let Ok(row) = self.reader.run(*run)
                && let Some(step) = forked(&row)
            {
                series.entry((*run, step.clone())).or_insert(u64::MAX);
            }
        }
    }

    /// The earliest time at which something waits to be done.
    pub fn due(&self) -> Option<Instant> {
        self.series.values().filter_map(Series::due).min()
    }

    fn update(&mut self, key: &Key, from: u64, haste: Haste) -> Result<(), CliError> {
        let (series, from) = match self.series.remove(key).filter(Series::is_intact) {
            Some(series) => (series, Some(from)),
            None => {
                let row = self.reader.run(key.0)?;
                if !self.place.has_room(&row, &key.1) {
                    self.given_up.insert(key.clone());
                    return Ok(());
                }
                self.mark(key.0)?;
                // To open it compares all rows.
                (Series::open(&self.reader, &self.place, key.clone())?, None)
            }
        };
        let series = self.series.entry(key.clone()).or_insert(series);
        series.update(&self.reader, &self.place, from, haste)
    }

    fn mark(&mut self, run: RunId) -> Result<(), CliError> {
        if self.marked.insert(run) {
            self.place.mark_open(run).map_err(|error| CliError::io("write", self.place.root(), error))?;
        }
        Ok(())
    }

    /// Writes one series completely, for a person who asks, and returns its folder.
    pub fn write(&mut self, key: &Key) -> Result<PathBuf, CliError> {
        let mut series = Series::open(&self.reader, &self.place, key.clone())?;
        series.update(&self.reader, &self.place, None, Haste::Now)?;
        Ok(self.place.of_series(&self.reader.run(key.0)?, &key.1))
    }
}

/// The step that a run resumes from a checkpoint of another run.
fn forked(run: &RunRow) -> Option<&StepId> {
    match &run.options.origin {
        Some(Origin::Fork { at, train_step: Some(_), .. }) => Some(at),
        _ => None,
    }
}
