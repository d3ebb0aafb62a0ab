//! A clean-up step by step. Alone, one process takes all steps; beside an engine, the engine takes them
//! (`engine/clean_ups.rs`).

use std::path::Path;

use jiff::Timestamp;
use uuid::Uuid;

use stepwell_artifact::{ArtifactStore, Attempts};
use stepwell_base::ids::RunId;
use stepwell_run::event::{Event, Recorded, RunEvent};
use stepwell_store::{Batch, EngineLock, Reader, Store};

use super::choose::CleanUp;
use super::error::MaintenanceError;
use super::plan::Plan;
use super::pruned_run::Chosen;
use super::requested::{Answer, Requested};
use super::sweep::{Collected, Company, Sweep, Sweeper};

/// Events that remove these runs.
pub(crate) fn prunings(runs: &[RunId]) -> Vec<Recorded> {
    let at = Timestamp::now();
    runs.iter().map(|run| Recorded { run: *run, at, event: Event::Run(RunEvent::Pruned) }).collect()
}

/// The runs and files that a clean-up would remove.
///
/// # Errors
/// Those of [`clean_up_alone`] except `Locked` and `Leased`.
pub(crate) fn preview(state_dir: &Path, clean_up: &CleanUp) -> Result<Collected, MaintenanceError> {
    let (reader, artifacts) = (Reader::open(state_dir)?, ArtifactStore::open(state_dir)?);
    let plan = clean_up.plan(&reader, &artifacts)?;
    let sweeper = Sweeper::new(&reader, &artifacts, Sweep::DryRun, Company::of(state_dir));
    sweeper.collect(plan.chosen(&reader)?, clean_up.extent())
}

/// Does the clean-up under the lock, after those that other processes have asked for and nobody has finished. Rows go
/// first and files after: a crash leaves files that the next `gc` finds, never a reference to a missing file.
///
/// # Errors
/// `Leased` when an engine has died and its attempts may still write, `Unreadable` when a tree that is referred to
/// cannot be read: no content is removed then. Those of `CleanUp::choose`: nothing is removed.
pub(crate) fn clean_up_alone(
    lock: &EngineLock,
    state_dir: &Path,
    clean_up: &Task<'_>,
) -> Result<Collected, MaintenanceError> {
    let mut store = Store::open(state_dir)?;
    if let Some((run, step)) = store.reader().leased_step()? {
        return Err(MaintenanceError::Leased { run, step });
    }
    store.begin_epoch(lock)?;
    let artifacts = ArtifactStore::open(state_dir)?;
    artifacts.forget_holds(Attempts::Ended)?;
    for id in Requested::open(state_dir)? {
        let done = carry_out(&mut store, &artifacts, id);
        if matches!(clean_up, Task::Requested(wanted) if *wanted == id) {
            return done;
        }
    }
    match clean_up {
        Task::New(clean_up) => {
            let plan = clean_up.plan(store.reader(), &artifacts)?;
            prune_and_sweep(&mut store, &artifacts, clean_up, &plan, &plan.ids())
        }
        // An engine has finished it before it ended.
        Task::Requested(id) => Requested::new(state_dir, *id).collected(store.reader()),
    }
}

/// A clean-up that is not asked for yet, or one that is.
pub(crate) enum Task<'a> {
    New(&'a CleanUp),
    Requested(Uuid),
}

/// Carries out a request, and answers it unless nothing can be said yet.
fn carry_out(store: &mut Store, artifacts: &ArtifactStore, id: Uuid) -> Result<Collected, MaintenanceError> {
    let requested = Requested::new(store.reader().state_dir(), id);
    let done = (|| {
        let clean_up = requested.clean_up()?;
        let plan = match requested.plan()? {
            Some(plan) => plan,
            None => {
                let plan = clean_up.plan(store.reader(), artifacts)?;
                requested.record_plan(artifacts, &plan)?;
                plan
            }
        };
        let left = clean_up.still_removable(store.reader(), &plan.ids())?;
        prune_and_sweep(store, artifacts, &clean_up, &plan, &left)
    })();
    requested.answer(artifacts, &Answer::of(&done))?;
    done
}

fn prune_and_sweep(
    store: &mut Store,
    artifacts: &ArtifactStore,
    clean_up: &CleanUp,
    plan: &Plan,
    left: &[RunId],
) -> Result<Collected, MaintenanceError> {
    let events = prunings(left);
    if !events.is_empty() {
        store.commit(Batch { events: &events, ..Batch::default() })?;
    }
    let chosen = plan.chosen(store.reader())?;
    Sweeper::new(store.reader(), artifacts, Sweep::Remove, Company::Alone).collect(removed(chosen), clean_up.extent())
}

/// Leaves out runs that had to stay after all.
pub(crate) fn removed(mut chosen: Vec<Chosen>) -> Vec<Chosen> {
    chosen.retain(|chosen| chosen.run.row.pruned_at.is_some());
    chosen
}
