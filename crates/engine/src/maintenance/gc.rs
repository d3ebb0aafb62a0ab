//! `gc`: prunes runs that the retention policy does not keep, and removes files that nothing refers to.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value;
use walkdir::WalkDir;

use stepwell_artifact::{ArtifactError, ArtifactStore};
use stepwell_base::artifact::{ArtifactRef, Digest};
use stepwell_base::faults::around;
use stepwell_base::ids::RunId;
use stepwell_run::event::{Event, Recorded, RunEvent};
use stepwell_run::retention::{Ended, Retention};
use stepwell_run::status::RunStatus;
use stepwell_store::{BACKUPS_DIR, Batch, EngineLock, RUNS_DIR, Reader, Store, scratch_dir};

use super::error::MaintenanceError;

/// Selects whether `gc` removes files or only reports them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sweep {
    Remove,
    DryRun,
}

/// Count and size of files of one kind that `gc` has removed, or would remove.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Amount {
    pub files: u64,
    pub bytes: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Collected {
    pub pruned: Vec<RunId>,
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

/// Deletes rows first and files after: a crash leaves files that the next call finds, never a reference to a missing
/// file. No engine may run, so that no process publishes content meanwhile.
///
/// # Errors
/// `Locked` when an engine runs, `Leased` when an engine has died and its attempts may still write, `Unreadable` when a
/// tree that is referred to cannot be read. No content is removed then.
pub fn gc(state_dir: &Path, retention: Retention, sweep: Sweep) -> Result<Collected, MaintenanceError> {
    if sweep == Sweep::DryRun {
        let reader = Reader::open(state_dir)?;
        let artifacts = ArtifactStore::open(state_dir)?;
        let pruned = expired(&reader, retention)?;
        return Gc { state_dir, reader: &reader, artifacts: &artifacts, sweep }.collect(pruned);
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
    let pruned = expired(store.reader(), retention)?;
    prune(&mut store, &pruned)?;
    Gc { state_dir, reader: store.reader(), artifacts: &artifacts, sweep }.collect(pruned)
}

fn expired(reader: &Reader, retention: Retention) -> Result<Vec<RunId>, MaintenanceError> {
    let in_use: BTreeSet<RunId> = reader.runs_in_use()?.into_iter().collect();
    let rows = reader.runs()?.all()?;
    let ended = rows.into_iter().filter(|row| row.stored_status.is_terminal() && row.pruned_at.is_none());
    let ended: Vec<Ended> = ended
        .map(|row| Ended { run: row.id, workflow: row.workflow, at: row.finished_at.unwrap_or(row.updated_at) })
        .collect();
    let expired = retention.expired(&ended, Timestamp::now());
    Ok(expired.into_iter().filter(|run| !in_use.contains(run)).collect())
}

fn prune(store: &mut Store, runs: &[RunId]) -> Result<(), MaintenanceError> {
    let at = Timestamp::now();
    let event = |&run| Recorded { run, at, event: Event::Run(RunEvent::Pruned) };
    let events: Vec<Recorded> = runs.iter().map(event).collect();
    if !events.is_empty() {
        store.commit(Batch { events: &events, ..Batch::default() })?;
    }
    Ok(())
}

struct Gc<'a> {
    state_dir: &'a Path,
    reader: &'a Reader,
    artifacts: &'a ArtifactStore,
    sweep: Sweep,
}

impl Gc<'_> {
    fn collect(&self, pruned: Vec<RunId>) -> Result<Collected, MaintenanceError> {
        let gone: BTreeSet<RunId> = pruned.iter().copied().collect();
        let used = self.used(&gone)?;
        let mut artifacts = Amount::default();
        for (digest, size) in self.artifacts.stored()?.into_iter().filter(|(digest, _)| !used.contains(digest)) {
            if self.sweep == Sweep::Remove {
                self.artifacts.remove(&digest)?;
            }
            artifacts.add(size);
        }
        let mut temporary = Amount::default();
        for (path, size) in self.artifacts.unpublished()? {
            temporary.add(size);
            self.remove(&path)?;
        }
        let backups = fs::read_dir(self.state_dir.join(BACKUPS_DIR)).into_iter().flatten().flatten();
        for entry in backups.filter(|entry| entry.file_name().to_string_lossy().starts_with(".restore-")) {
            self.remove_folder(&entry.path(), &mut temporary)?;
        }
        let mut scratch = Amount::default();
        for folder in self.ended_folders(&gone)? {
            self.remove_folder(&folder, &mut scratch)?;
        }
        Ok(Collected { pruned, artifacts, temporary, scratch })
    }

    /// Returns all content that the remaining runs refer to or will refer to.
    fn used(&self, pruned: &BTreeSet<RunId>) -> Result<BTreeSet<Digest>, MaintenanceError> {
        let mut used = BTreeSet::new();
        let references = self.reader.references(None)?;
        for reference in references.iter().filter(|reference| !pruned.contains(&reference.run)) {
            let blobs = self.artifacts.blobs(&reference.artifact);
            used.extend(
                blobs.map_err(|source| MaintenanceError::Unreadable { holder: reference.to_string(), source })?,
            );
        }
        let mut read = Ok(());
        self.reader.each_arguments(|run, arguments| {
            if read.is_ok() && !pruned.contains(&run) {
                read = self.add_arguments(run, arguments, &mut used);
            }
        })?;
        read?;
        // A parameter may name content of a pruned run.
        for row in self.reader.open_runs()?.all()? {
            let spec = self.reader.spec(row.id)?;
            for values in std::iter::once(spec.params).chain(spec.steps.into_iter().map(|step| step.with)) {
                self.add_arguments(row.id, &Value::Object(values), &mut used)?;
            }
        }
        Ok(used)
    }

    /// Adds the content that arguments name. Most of it is output of the same run and was added above. Missing content
    /// uses nothing; an unreadable tree may use anything.
    fn add_arguments(&self, run: RunId, value: &Value, used: &mut BTreeSet<Digest>) -> Result<(), MaintenanceError> {
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| self.add_arguments(run, item, used)),
            Value::Object(fields) => match serde_json::from_value::<ArtifactRef>(value.clone()) {
                Ok(artifact) if used.contains(&artifact.digest) => Ok(()),
                Ok(artifact) => self.add_content(&artifact, used).map_err(|source| {
                    let holder = format!("artifact {}, which an argument of run {run} names,", artifact.digest);
                    MaintenanceError::Unreadable { holder, source }
                }),
                Err(_) => fields.values().try_for_each(|field| self.add_arguments(run, field, used)),
            },
            _ => Ok(()),
        }
    }

    /// Adds a tree with all of its entries except missing ones.
    fn add_content(&self, artifact: &ArtifactRef, used: &mut BTreeSet<Digest>) -> Result<(), ArtifactError> {
        used.insert(artifact.digest.clone());
        if !artifact.is_tree() {
            return Ok(());
        }
        match self.artifacts.read_tree(artifact) {
            Ok(tree) => tree.entries.values().try_for_each(|entry| self.add_content(entry, used)),
            Err(ArtifactError::Missing { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Returns the scratch folders of ended runs. A failed run may be resumed and keeps its scratch files. The folder
    /// of a run that the database does not know stays, because it may belong to someone else.
    fn ended_folders(&self, pruned: &BTreeSet<RunId>) -> Result<Vec<PathBuf>, MaintenanceError> {
        let mut folders = Vec::new();
        for row in self.reader.runs()?.all()? {
            let folder = self.state_dir.join(RUNS_DIR).join(row.id.to_string());
            if !folder.is_dir() {
                continue;
            }
            if row.pruned_at.is_some() || pruned.contains(&row.id) {
                folders.push(folder);
            } else if matches!(row.stored_status, RunStatus::Succeeded | RunStatus::Canceled) {
                let steps = self.reader.steps(row.id)?;
                let scratch = steps.iter().map(|step| scratch_dir(self.state_dir, row.id, &step.id));
                folders.extend(scratch.filter(|folder| folder.is_dir()));
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
