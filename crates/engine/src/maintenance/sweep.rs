//! Removes the files of a clean-up: content that nothing refers to, scratch files, and what interrupted writers left.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::Digest;
use stepwell_base::faults::around;
use stepwell_base::ids::RunId;
use stepwell_run::status::RunStatus;
use stepwell_store::{BACKUPS_DIR, EngineLock, Reader, scratch_dir, set_aside_dir};

use super::content_in_use::content_in_use;
use super::error::MaintenanceError;
use super::pruned_run::{Chosen, PrunedRun, folders_of};

/// Content to remove in one go, while nobody can publish.
const BATCH: usize = 64;

/// Selects whether a clean-up removes files or only reports them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sweep {
    Remove,
    DryRun,
}

/// Count and size of files of one kind that a clean-up has removed, or would remove.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
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

/// The files that a clean-up looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extent {
    Everything,
    ChosenRuns,
}

/// Other processes that write to the state directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Company {
    /// The clean-up holds the lock: no attempt runs.
    Alone,
    /// Attempts write, and their unpublished files cannot be told from those of dead ones.
    Engine,
}

impl Company {
    /// The company of a clean-up that holds no lock.
    pub(crate) fn of(state_dir: &Path) -> Company {
        match EngineLock::holder(state_dir) {
            Some(_) => Company::Engine,
            None => Company::Alone,
        }
    }
}

pub(crate) struct Sweeper<'a> {
    reader: &'a Reader,
    artifacts: &'a ArtifactStore,
    sweep: Sweep,
    company: Company,
    ending: Option<&'a AtomicBool>,
}

impl<'a> Sweeper<'a> {
    pub(crate) fn new(reader: &'a Reader, artifacts: &'a ArtifactStore, sweep: Sweep, company: Company) -> Self {
        Sweeper { reader, artifacts, sweep, company, ending: None }
    }

    /// Stops with `Stopped` once the flag is true.
    pub(crate) fn until(self, ending: &'a AtomicBool) -> Self {
        Sweeper { ending: Some(ending), ..self }
    }

    /// Removes the files of runs whose rows are gone already, or reports them while the rows are there.
    ///
    /// # Errors
    /// `Unreadable` when a tree that is referred to cannot be read. No content is removed then.
    pub(crate) fn collect(&self, mut chosen: Vec<Chosen>, extent: Extent) -> Result<Collected, MaintenanceError> {
        let gone: BTreeSet<RunId> = chosen.iter().map(|chosen| chosen.run.row.id).collect();
        let artifacts = self.remove_content(&mut chosen, &gone, extent)?;
        let mut temporary = Amount::default();
        if extent == Extent::Everything {
            self.remove_unfinished(&mut temporary)?;
        }
        let mut scratch = Amount::default();
        for folder in self.folders(&gone, extent)? {
            self.refuse_to_end()?;
            self.remove_folder(&folder, &mut scratch)?;
        }
        let pruned: Vec<PrunedRun> = chosen.into_iter().map(|chosen| chosen.run).collect();
        Ok(Collected { pruned, artifacts, temporary, scratch })
    }

    /// Removes content that nothing needs. The order counts: what a process publishes after the list was made is not in
    /// it, what it has published before and not committed is held, and what is committed has a row.
    fn remove_content(
        &self,
        chosen: &mut [Chosen],
        gone: &BTreeSet<RunId>,
        extent: Extent,
    ) -> Result<Amount, MaintenanceError> {
        let stored: Vec<(Digest, u64)> = self.artifacts.stored()?;
        let mut held = self.artifacts.held()?;
        let used = content_in_use(self.reader, self.artifacts, gone)?;
        let free = |digest: &Digest| !used.contains(digest) && !held.contains(digest);
        let sizes: BTreeMap<Digest, u64> = stored.into_iter().filter(|(digest, _)| free(digest)).collect();
        for Chosen { run, content } in &mut *chosen {
            run.bytes += content.iter().filter_map(|digest| sizes.get(digest)).sum::<u64>();
        }
        let of_chosen: HashSet<&Digest> = chosen.iter().flat_map(|chosen| &chosen.content).collect();
        let is_wanted = |digest: &Digest| extent == Extent::Everything || of_chosen.contains(digest);
        let wanted: Vec<Digest> = sizes.keys().filter(|digest| is_wanted(digest)).cloned().collect();
        let mut amount = Amount::default();
        for batch in wanted.chunks(BATCH) {
            self.refuse_to_end()?;
            let removed = match self.sweep {
                Sweep::Remove => self.artifacts.remove_unless_held(batch, &mut held)?,
                Sweep::DryRun => batch.to_vec(),
            };
            removed.iter().filter_map(|digest| sizes.get(digest)).for_each(|size| amount.add(*size));
        }
        Ok(amount)
    }

    fn refuse_to_end(&self) -> Result<(), MaintenanceError> {
        match self.ending.is_some_and(|ending| ending.load(Ordering::Relaxed)) {
            true => Err(MaintenanceError::Stopped),
            false => Ok(()),
        }
    }

    /// Removes files that writers have not published, and the folders of interrupted restores.
    fn remove_unfinished(&self, temporary: &mut Amount) -> Result<(), MaintenanceError> {
        let unpublished = match self.company {
            Company::Alone => self.artifacts.unpublished()?,
            Company::Engine => Vec::new(),
        };
        for (path, size) in unpublished {
            temporary.add(size);
            self.remove(&path)?;
        }
        let backups = fs::read_dir(self.reader.state_dir().join(BACKUPS_DIR)).into_iter().flatten().flatten();
        for entry in backups.filter(|entry| entry.file_name().to_string_lossy().starts_with(".restore-")) {
            self.remove_folder(&entry.path(), temporary)?;
        }
        Ok(())
    }

    fn folders(&self, pruned: &BTreeSet<RunId>, extent: Extent) -> Result<Vec<PathBuf>, MaintenanceError> {
        match extent {
            Extent::Everything => self.ended_folders(pruned),
            Extent::ChosenRuns => {
                let mut folders = Vec::new();
                for run in pruned {
                    folders.extend(folders_of(self.reader.state_dir(), &self.reader.run(*run)?));
                }
                folders.retain(|folder| folder.is_dir());
                Ok(folders)
            }
        }
    }

    /// Returns the scratch folders of ended runs. A failed run may be resumed and keeps its scratch files. A folder
    /// without a run in the database stays, because it may belong to someone else.
    fn ended_folders(&self, pruned: &BTreeSet<RunId>) -> Result<Vec<PathBuf>, MaintenanceError> {
        let mut folders = Vec::new();
        for row in self.reader.runs()?.all()? {
            let of_run = folders_of(self.reader.state_dir(), &row);
            if !of_run.iter().any(|folder| folder.is_dir()) {
                continue;
            }
            if row.pruned_at.is_some() || pruned.contains(&row.id) {
                folders.extend(of_run.into_iter().filter(|folder| folder.is_dir()));
            } else if matches!(row.stored_status, RunStatus::Succeeded | RunStatus::Canceled) {
                let steps = self.reader.steps(row.id)?;
                for folder in [scratch_dir, set_aside_dir] {
                    let of_steps = steps.iter().map(|step| folder(self.reader.state_dir(), row.id, &step.id));
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
            Sweep::Remove => match around!("engine.gc.folder", fs::remove_dir_all(folder)) {
                // Somebody else was faster.
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                removed => removed.map_err(MaintenanceError::io("remove", folder)),
            },
            Sweep::DryRun => Ok(()),
        }
    }
}
