//! Places each attempt on the executor that its step or its pool names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use stepwell_base::failure::Failure;
use stepwell_base::ids::RunId;
use stepwell_run::event::ProcessIdentity;
use stepwell_store::scratch_dir;
use stepwell_workflow::executor::Executors;

use super::executor::{Attempt, AttemptId, Executor, Launch, Sink};
use super::local::Local;
use super::remote::{JobFolder, Remote};

/// This machine and all configured executors.
pub struct Placed {
    local: Local,
    elsewhere: BTreeMap<String, Remote>,
    state_dir: PathBuf,
}

impl Placed {
    pub fn new(local: Local, executors: &Executors, state_dir: &Path, sink: &Sink, log_limit: u64) -> Placed {
        let remote = |name: &str, config| Remote::new(name, config, state_dir, sink.clone(), log_limit);
        let elsewhere = executors.by_name.iter().map(|(name, config)| (name.clone(), remote(name, config)));
        Placed { local, elsewhere: elsewhere.collect(), state_dir: state_dir.to_owned() }
    }
}

impl Executor for Placed {
    fn start(&self, launch: Launch) -> Result<Box<dyn Attempt>, Failure> {
        let Some(name) = &launch.executor else { return self.local.start(launch) };
        match self.elsewhere.get(name) {
            Some(remote) => remote.start(launch),
            None => Err(Failure::fatal(format!("the executor `{name}` is not configured"))),
        }
    }

    fn adopt(&self, id: &AttemptId) -> Result<Option<Box<dyn Attempt>>, String> {
        let folder = JobFolder::of(&scratch_dir(&self.state_dir, id.run, &id.step), id.fence);
        let Some(name) = folder.executor()? else { return Ok(None) };
        match self.elsewhere.get(&name) {
            Some(remote) => remote.adopt(id.clone()),
            None => {
                Err(format!("it was given to the executor `{name}`, which stepwell.toml does not configure any more"))
            }
        }
    }

    fn end_leftovers(&self, id: &AttemptId, process: Option<&ProcessIdentity>) -> Vec<u32> {
        self.local.end_leftovers(id, process)
    }

    fn end_run(&self, run: RunId) -> Vec<u32> {
        self.local.end_run(run)
    }

    fn end_workers(&self, state_dir: &Path) -> Vec<u32> {
        self.local.end_workers(state_dir)
    }

    fn deadline(&self) -> Option<Instant> {
        self.local.deadline()
    }

    fn retire(&self) {
        self.local.retire();
    }
}
