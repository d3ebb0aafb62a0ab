//! The engine's side of attempts elsewhere: the executor, and the handle of one attempt. Neither waits for the system.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stepwell_base::failure::Failure;
use stepwell_base::protocol::ToAttempt;
use stepwell_run::event::ProcessIdentity;
use stepwell_store::scratch_dir;
use stepwell_workflow::executor::{ExecutorConfig, System};

use super::driver;
use super::folder::JobFolder;
use super::host::{Host, Place};
use super::messages::{Head, Job, Order, PROTOCOL, VERSION};
use super::slurm::{Cluster, SlurmHost};
use super::ssh::{Known, SshHost};
use super::tracked::Tracked;
use crate::executors::executor::{Attempt, AttemptId, Exit, Launch, Report, Sink, Sweep, WorkerId};

/// Longest wait for the proof that a killed attempt is dead.
const PATIENCE: Duration = Duration::from_secs(60);

/// State common to the thread of the executor and the handle of an attempt.
pub(super) struct Shared {
    sink: Sink,
    worker: WorkerId,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    /// Offsets behind the lines of the reports that the engine has not committed yet.
    offsets: VecDeque<u64>,
    /// Number of reports before those.
    settled: u64,
    silent: bool,
    exit: Option<Exit>,
}

impl Shared {
    fn new(sink: &Sink) -> Arc<Shared> {
        Arc::new(Shared {
            sink: sink.clone(),
            worker: WorkerId::next(),
            state: Mutex::default(),
            ended: Condvar::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change leaves the state valid, so a poisoned lock is harmless.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports to the engine. `offset` is where to read on once the engine has committed the report.
    pub(super) fn tell(&self, id: &AttemptId, report: Report, offset: u64) {
        {
            let mut state = self.state();
            if state.silent {
                return;
            }
            state.offsets.push_back(offset);
        }
        (self.sink)(id.clone(), self.worker, report);
    }

    /// From now on the engine is told only the end.
    pub(super) fn silence(&self) {
        self.state().silent = true;
    }

    pub(super) fn end(&self, id: &AttemptId, exit: Exit) {
        self.state().exit = Some(exit);
        self.ended.notify_all();
        (self.sink)(id.clone(), self.worker, Report::Ended);
    }

    fn await_end(&self) -> Option<Exit> {
        let waits = |state: &mut State| state.exit.is_none();
        let waited = self.ended.wait_timeout_while(self.state(), PATIENCE, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0.exit.clone()
    }
}

/// One configured executor.
pub(in crate::executors) struct Remote {
    name: String,
    config: ExecutorConfig,
    state_dir: PathBuf,
    sink: Sink,
    log_limit: u64,
    /// State common to the attempts on one Slurm cluster.
    cluster: Cluster,
    /// State common to the attempts on one machine.
    known: Known,
}

impl Remote {
    pub(in crate::executors) fn new(
        name: &str,
        config: &ExecutorConfig,
        state_dir: &Path,
        sink: Sink,
        log_limit: u64,
    ) -> Remote {
        let (name, config, state_dir) = (name.to_owned(), config.clone(), state_dir.to_owned());
        Remote { name, config, state_dir, sink, log_limit, cluster: Cluster::default(), known: Known::default() }
    }

    /// Records the intent and leaves the rest to the thread.
    ///
    /// # Errors
    /// When the folder of the attempt or the thread cannot be made.
    pub(in crate::executors) fn start(&self, launch: Launch) -> Result<Box<dyn Attempt>, Failure> {
        let place = self.place(launch.id());
        let head = Head { protocol: PROTOCOL, version: VERSION.to_owned(), executor: self.name.clone() };
        let Launch { request, heartbeat, resources, .. } = launch;
        let job = Job { head, heartbeat, resources, log_limit: self.log_limit, request };
        let io = |error: std::io::Error| Failure::io(format_args!("cannot start the attempt: its folder"), &error);
        // Here, because every scratch folder belongs to this machine's state directory.
        std::fs::create_dir_all(&job.request.scratch_dir).map_err(io)?;
        place.folder.create(&job).map_err(io)?;
        self.track(place, job, 0).map_err(|error| Failure::io("cannot start the attempt: its thread", &error))
    }

    /// Continues an attempt of an earlier engine.
    ///
    /// # Errors
    /// When what is known of it cannot be read.
    pub(in crate::executors) fn adopt(&self, id: AttemptId) -> Result<Option<Box<dyn Attempt>>, String> {
        let place = self.place(id);
        let Some(job) = place.folder.read_job()? else { return Ok(None) };
        let offset = place.folder.taken();
        self.track(place, job, offset).map(Some).map_err(|error| error.to_string())
    }

    fn place(&self, id: AttemptId) -> Place {
        let folder = JobFolder::of(&scratch_dir(&self.state_dir, id.run, &id.step), id.fence);
        Place { id, folder }
    }

    fn track(&self, place: Place, job: Job, offset: u64) -> std::io::Result<Box<dyn Attempt>> {
        let shared = Shared::new(&self.sink);
        let tracked = Tracked::new(place.clone(), job, shared.clone(), offset);
        let orders = driver::start(tracked, self.host())?;
        Ok(Box::new(RemoteAttempt { place, shared, orders }))
    }

    fn host(&self) -> Box<dyn Host> {
        match &self.config.system {
            System::Slurm(slurm) => Box::new(SlurmHost::new(slurm.clone(), self.state_dir.clone(), &self.cluster)),
            System::Ssh(ssh) => Box::new(SshHost::new(ssh.clone(), self.state_dir.clone(), &self.known)),
        }
    }
}

struct RemoteAttempt {
    place: Place,
    shared: Arc<Shared>,
    orders: Sender<Order>,
}

impl RemoteAttempt {
    fn order(&self, order: Order) {
        // The thread ends only with its attempt.
        let _ = self.orders.send(order);
    }
}

impl Attempt for RemoteAttempt {
    fn process(&self) -> Option<&ProcessIdentity> {
        None
    }

    fn worker(&self) -> WorkerId {
        self.shared.worker
    }

    fn send(&mut self, message: &ToAttempt) {
        self.order(Order::Attempt(message.clone()));
    }

    fn terminate(&self) {
        self.order(Order::Terminate);
    }

    fn kill(&self) {
        self.order(Order::Kill);
    }

    fn settled(&mut self, reports: u64) {
        let offset = {
            let mut state = self.shared.state();
            let mut last = None;
            while state.settled < reports {
                let Some(offset) = state.offsets.pop_front() else { break };
                state.settled += 1;
                last = Some(offset);
            }
            last
        };
        if let Some(offset) = offset {
            // Without it, an engine that adopts the attempt hears again what is committed.
            let _ = self.place.folder.record_taken(offset);
        }
    }

    /// Waits only when the attempt has not ended yet, for an engine that cannot continue.
    fn reap(&mut self, _sweep: Sweep) -> Exit {
        let ended = self.shared.state().exit.clone();
        if let Some(exit) = ended {
            return exit;
        }
        self.kill();
        self.shared.await_end().unwrap_or_else(|| Exit { survivors: vec![0], ..Exit::default() })
    }
}
