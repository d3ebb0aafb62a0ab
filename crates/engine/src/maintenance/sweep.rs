//! `gc` prunes runs that the retention policy does not keep, and removes files that nothing refers to. `rm` prunes runs
//! that a person names, and removes only their files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use walkdir::WalkDir;

use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::Digest;
use stepwell_base::faults::around;
use stepwell_base::ids::RunId;
use stepwell_run::event::{Event, Recorded, RunEvent};
use stepwell_run::retention::{Ended, Retention};
use stepwell_run::status::RunStatus;
use stepwell_store::{BACKUPS_DIR, Batch, EngineLock, Reader, Store, StoreError, scratch_dir, set_aside_dir};

use super::content_in_use::content_in_use;
use super::error::MaintenanceError;
use super::pruned_run::{Chosen, PrunedRun, folders_of};

/// Selects whether a clean-up removes files or only reports them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sweep {
    Remove,
    DryRun,
}

/// Count and size of files of one kind that a clean-up has removed, or would remove.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Amount {
    pub files: u64,
    pub bytes: u64,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Collected {
    /// Failed and canceled runs first, then oldest first.
    pub pruned: Vec<PrunedRun>,
    /// Content that no output, checkpoint or argument refers to.
    pub artifacts: Amount,
    /// Files that interrupted writers and restores have left.
    pub temporary: Amount,
    /// Scratch folders of succeeded and canceled runs, and all files of pruned runs.
    pub scratch: Amount,
}

impl Amount {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// Prunes the runs that `retention` does not keep, and removes everything that is not needed.
///
/// # Errors
/// `Locked` when an engine runs, `Leased` when an engine has died and its attempts may still write, `Unreadable` when a
/// tree that is referred to cannot be read. No content is removed then.
pub fn gc(state_dir: &Path, retention: Retention, sweep: Sweep) -> Result<Collected, MaintenanceError> {
    clean_up(state_dir, sweep, Extent::Everything, |reader| expired(reader, retention))
}

/// Prunes these ended runs and the child runs of their steps, and removes what only they need.
///
/// # Errors
/// `NotEnded`, `Kept`, `InUse`, `Pruned`: nothing is removed. Also the errors of [`gc`].
pub fn remove_runs(state_dir: &Path, runs: &[RunId], sweep: Sweep) -> Result<Collected, MaintenanceError> {
    clean_up(state_dir, sweep, Extent::PrunedRuns, |reader| removable(reader, runs))
}

/// The files that a clean-up looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Everything,
    PrunedRuns,
}

/// Deletes rows first and files after: a crash leaves files that the next `gc` finds, never a reference to a missing
/// file. No engine may run, so that no process publishes content meanwhile.
fn clean_up(
    state_dir: &Path,
    sweep: Sweep,
    extent: Extent,
    choose: impl Fn(&Reader) -> Result<Vec<RunId>, MaintenanceError>,
) -> Result<Collected, MaintenanceError> {
    if sweep == Sweep::DryRun {
        let reader = Reader::open(state_dir)?;
        let artifacts = ArtifactStore::open(state_dir)?;
        let pruned = describe(&reader, &artifacts, state_dir, choose(&reader)?)?;
        return CleanUp { state_dir, reader: &reader, artifacts: &artifacts, sweep, extent }.collect(pruned);
    }
    // A missing state must fail before the lock creates anything.
    drop(Reader::open(state_dir)?);
    let lock = EngineLock::acquire(state_dir)?;
    let mut store = Store::open(state_dir)?;
    if let Some((run, step)) = store.reader().leased_step()? {
        return Err(MaintenanceError::Leased { run, step });
    }
    store.begin_epoch(&lock)?;
    let artifacts = ArtifactStore::open(state_dir)?;
    let pruned = describe(store.reader(), &artifacts, state_dir, choose(store.reader())?)?;
    prune(&mut store, &pruned)?;
    CleanUp { state_dir, reader: store.reader(), artifacts: &artifacts, sweep, extent }.collect(pruned)
}

fn expired(reader: &Reader, retention: Retention) -> Result<Vec<RunId>, MaintenanceError> {
    let in_use: BTreeSet<RunId> = reader.runs_in_use()?.into_iter().collect();
    let kept = reader.kept_runs()?;
    let rows = reader.runs()?.all()?;
    let ended = rows
        .into_iter()
        .filter(|row| row.stored_status.is_terminal() && row.pruned_at.is_none() && !kept.contains(&row.id));
    let ended: Vec<Ended> = ended
        .map(|row| Ended {
            run: row.id,
            at: row.finished_at.unwrap_or(row.updated_at),
            workflow: row.workflow,
            status: row.stored_status,
        })
        .collect();
    let expired = retention.expired(&ended, Timestamp::now());
    Ok(expired.into_iter().filter(|run| !in_use.contains(run)).collect())
}

fn removable(reader: &Reader, runs: &[RunId]) -> Result<Vec<RunId>, MaintenanceError> {
    let mut chosen = BTreeSet::new();
    for run in runs {
        if let Some(at) = reader.run(*run)?.pruned_at {
            return Err(StoreError::Pruned { run: *run, at }.into());
        }
        chosen.insert(*run);
        chosen.extend(reader.descendants(*run)?);
    }
    let (in_use, kept) = (reader.runs_in_use()?, reader.kept_runs()?);
    for run in &chosen {
        let status = reader.run(*run)?.status;
        if status.is_active() {
            return Err(MaintenanceError::NotEnded { run: *run, status });
        }
        if kept.contains(run) {
            return Err(StoreError::Kept { run: *run }.into());
        }
        if in_use.contains(run) {
            return Err(MaintenanceError::InUse { run: *run });
        }
    }
    let pruned_before = |run: &RunId| Ok::<_, StoreError>(reader.run(*run)?.pruned_at.is_some());
    let mut left = Vec::new();
    for run in chosen {
        if !pruned_before(&run)? {
            left.push(run);
        }
    }
    Ok(left)
}

fn describe(
    reader: &Reader,
    artifacts: &ArtifactStore,
    state_dir: &Path,
    runs: Vec<RunId>,
) -> Result<Vec<Chosen>, MaintenanceError> {
    runs.into_iter().map(|run| Chosen::describe(reader, artifacts, state_dir, reader.run(run)?)).collect()
}

fn prune(store: &mut Store, runs: &[Chosen]) -> Result<(), MaintenanceError> {
    let at = Timestamp::now();
    let event = |chosen: &Chosen| Recorded { run: chosen.run.row.id, at, event: Event::Run(RunEvent::Pruned) };
    let events: Vec<Recorded> = runs.iter().map(event).collect();
    if !events.is_empty() {
        store.commit(Batch { events: &events, ..Batch::default() })?;
    }
    Ok(())
}

struct CleanUp<'a> {
    state_dir: &'a Path,
    reader: &'a Reader,
    artifacts: &'a ArtifactStore,
    sweep: Sweep,
    extent: Extent,
}

impl CleanUp<'_> {
    fn collect(&self, mut chosen: Vec<Chosen>) -> Result<Collected, MaintenanceError> {
        let gone: BTreeSet<RunId> = chosen.iter().map(|chosen| chosen.run.row.id).collect();
        let stored: Vec<(Digest, u64)> = self.artifacts.stored()?;
        let used = content_in_use(self.reader, self.artifacts, &gone)?;
        let sizes: BTreeMap<&Digest, u64> =
            stored.iter().filter(|(digest, _)| !used.contains(digest)).map(|(digest, size)| (digest, *size)).collect();
        for Chosen { run, content } in &mut chosen {
            run.bytes += content.iter().filter_map(|digest| sizes.get(digest)).sum::<u64>();
        }
        let wanted = |digest: &Digest| match self.extent {
            Extent::Everything => true,
            Extent::PrunedRuns => chosen.iter().any(|chosen| chosen.content.contains(digest)),
        };
        let mut artifacts = Amount::default();
        for (digest, size) in sizes.iter().filter(|(digest, _)| wanted(digest)) {
            if self.sweep == Sweep::Remove {
                self.artifacts.remove(digest)?;
            }
            artifacts.add(*size);
        }
        let mut temporary = Amount::default();
        if self.extent == Extent::Everything {
            self.remove_unfinished(&mut temporary)?;
        }
        let mut scratch = Amount::default();
        for folder in self.folders(&gone)? {
            self.remove_folder(&folder, &mut scratch)?;
        }
        let pruned: Vec<PrunedRun> = chosen.into_iter().map(|chosen| chosen.run).collect();
        Ok(Collected { pruned, artifacts, temporary, scratch })
    }

    /// Removes files that writers have not published, and the folders of interrupted restores.
    fn remove_unfinished(&self, temporary: &mut Amount) -> Result<(), MaintenanceError> {
        for (path, size) in self.artifacts.unpublished()? {
            temporary.add(size);
            self.remove(&path)?;
        }
        let backups = fs::read_dir(self.state_dir.join(BACKUPS_DIR)).into_iter().flatten().flatten();
        for entry in backups.filter(|entry| entry.file_name().to_string_lossy().starts_with(".restore-")) {
            self.remove_folder(&entry.path(), temporary)?;
        }
        Ok(())
    }

    fn folders(&self, pruned: &BTreeSet<RunId>) -> Result<Vec<PathBuf>, MaintenanceError> {
        match self.extent {
            Extent::Everything => self.ended_folders(pruned),
            Extent::PrunedRuns => {
                let mut folders = Vec::new();
                for run in pruned {
                    folders.extend(folders_of(self.state_dir, &self.reader.run(*run)?));
                }
                folders.retain(|folder| folder.is_dir());
                Ok(folders)
            }
        }
    }

    /// Returns the scratch folders of ended runs. A failed run may be resumed and keeps its scratch files. The folder
    /// of a run that the database does not know stays, because it may belong to someone else.
    fn ended_folders(&self, pruned: &BTreeSet<RunId>) -> Result<Vec<PathBuf>, MaintenanceError> {
        let mut folders = Vec::new();
        for row in self.reader.runs()?.all()? {
            let of_run = folders_of(self.state_dir, &row);
            if !of_run.iter().any(|folder| folder.is_dir()) {
                continue;
            }
            if row.pruned_at.is_some() || pruned.contains(&row.id) {
                folders.extend(of_run.into_iter().filter(|folder| folder.is_dir()));
            } else if matches!(row.stored_status, RunStatus::Succeeded | RunStatus::Canceled) {
                let steps = self.reader.steps(row.id)?;
                for folder in [scratch_dir, set_aside_dir] {
                    let of_steps = steps.iter().map(|step| folder(self.state_dir, row.id, &step.id));
                    folders.extend(of_steps.filter(|folder| folder.is_dir()));
                }
            }
        }
        Ok(folders)
    }

    fn remove(&self, path: &Path) -> Result<(), MaintenanceError> {
        match self.sweep {
            Sweep::Remove => {
                around!("engine.gc.remove", fs::remove_file(path)).map_err(MaintenanceError::io("remove", path))
            }
            Sweep::DryRun => Ok(()),
        }
    }

    fn remove_folder(&self, folder: &Path, amount: &mut Amount) -> Result<(), MaintenanceError> {
        for entry in WalkDir::new(folder).into_iter().flatten().filter(|entry| !entry.file_type().is_dir()) {
            amount.add(entry.metadata().map_or(0, |metadata| metadata.len()));
        }
        match self.sweep {
            Sweep::Remove => {
                around!("engine.gc.folder", fs::remove_dir_all(folder)).map_err(MaintenanceError::io("remove", folder))
            }
            Sweep::DryRun => Ok(()),
        }
    }
}
