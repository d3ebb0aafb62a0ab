//! Runs attempts in child processes: `stepwell worker exec` in a process group of its own. The protocol uses a
//! socket as the child's standard input, so nothing that a library prints can disturb it; standard output and
//! standard error go to the attempt's log. After success, a worker of a kind that leaves no trace returns to the
//! pool and saves the next attempt a process start.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use rustix::process::Signal;

use stepwell_base::failure::Failure;
use stepwell_base::faults::around;
use stepwell_base::ids::RunId;
use stepwell_base::protocol::{ATTEMPT_MARK, ToAttempt, WORKER_MARK};
use stepwell_run::event::ProcessIdentity;
use stepwell_steps::{MemoryKills, find};
use stepwell_workflow::pools::environment;

use super::executor::{Attempt, AttemptId, Executor, Exit, Launch, Sink, Sweep, WorkerId};
use super::log_keeper::LogKeeper;
use super::pool::{Pool, Worker};
use super::process::{end_attempts_of, end_leftovers, end_workers, worker_mark};

/// Keeps the worker's allocator from returning memory to the kernel. Each training step frees and allocates the
/// same memory, and the kernel clears every page that it hands out again. A value set by the user wins.
const PURGE_DELAY: &str = "MIMALLOC_PURGE_DELAY";

pub struct Local {
    program: PathBuf,
    sink: Sink,
    pool: Rc<Pool>,
    logs: Arc<LogKeeper>,
    /// False when each worker serves one attempt only.
    keeps_workers: bool,
}

impl Local {
    /// `program` is the Stepwell binary that understands `worker exec`. `log_limit` is the maximum size of an attempt's
    /// log in bytes; 0 means no limit.
    pub fn new(program: PathBuf, sink: Sink, log_limit: u64) -> Local {
        let logs = Arc::new(LogKeeper::new(log_limit));
        Local { program, sink, pool: Rc::default(), logs, keeps_workers: true }
    }

    /// Like [`Local::new`], for an agent. No worker carries the mark of the state directory: an engine that starts on the same machine
    /// would end it.
    pub(super) fn single(program: PathBuf, sink: Sink, log_limit: u64) -> Local {
        Local { keeps_workers: false, ..Local::new(program, sink, log_limit) }
    }

    /// Returns a worker that has received the attempt.
    fn employ(&self, launch: &Launch, id: &AttemptId, reusable: bool) -> std::io::Result<Worker> {
        let request = ToAttempt::Start(Box::new(launch.request.clone()));
        // A waiting worker may have been killed meanwhile.
        while reusable && let Some(mut worker) = self.pool.take(launch.heartbeat) {
            match worker.assign(id, &request) {
                Ok(()) => return Ok(worker),
                Err(_) => drop(worker.reap(None)),
            }
        }
        let state_dir = &launch.request.state_dir;
        let (name, mark, log) = match reusable {
            // The worker prints nothing: its programs have logs of their own.
            true => (WORKER_MARK, worker_mark(state_dir), None),
            false => {
                (ATTEMPT_MARK, id.to_string(), Some(around!("executor.log", open_log(&launch.request.log_path()))?))
            }
        };
        let mut variables = environment(&launch.resources);
        variables.push((name.to_owned(), mark));
        if !runs_programs(&launch.request.kind) && std::env::var_os(PURGE_DELAY).is_none() {
            variables.push((PURGE_DELAY.to_owned(), "-1".to_owned()));
        }
        let mut worker = Worker::start(&self.program, variables, log, launch.heartbeat, id, &self.sink)?;
        if around!("executor.request", worker.send(&request)).is_err() {
            worker.hang_up();
        }
        Ok(worker)
    }
}

impl Executor for Local {
    fn start(&self, launch: Launch) -> Result<Box<dyn Attempt>, Failure> {
        let id = launch.id();
        let error =
            |what: &str, error: &std::io::Error| Failure::io(format_args!("cannot start the attempt: {what}"), error);
        around!("executor.scratch", fs::create_dir_all(&launch.request.scratch_dir))
            .map_err(|e| error("scratch directory", &e))?;
        // A worker's environment names the pool units that it holds, so it cannot serve an attempt with others.
        let reusable = self.keeps_workers && launch.resources.is_empty() && runs_programs(&launch.request.kind);
        let log_path = launch.request.log_path();
        let memory_kills = MemoryKills::count();
        let worker = self.employ(&launch, &id, reusable).map_err(|e| error("worker process", &e))?;
        // Without the thread the step still runs; only its log has no limit.
        let _ = self.logs.watch(id.clone(), log_path);
        Ok(Box::new(LocalAttempt {
            id,
            number: worker.id(),
            worker: Some(worker),
            runs_programs: runs_programs(&launch.request.kind),
            spent: (!reusable).into(),
            pool: self.pool.clone(),
            logs: self.logs.clone(),
            memory_kills,
        }))
    }

    fn adopt(&self, _id: &AttemptId) -> Result<Option<Box<dyn Attempt>>, String> {
        Ok(None)
    }

    fn end_leftovers(&self, id: &AttemptId, process: Option<&ProcessIdentity>) -> Vec<u32> {
        end_leftovers(id, process)
    }

    fn end_run(&self, run: RunId) -> Vec<u32> {
        end_attempts_of(run)
    }

    fn end_workers(&self, state_dir: &Path) -> Vec<u32> {
        end_workers(state_dir)
    }

    fn deadline(&self) -> Option<Instant> {
        self.pool.deadline()
    }

    fn retire(&self) {
        self.pool.retire();
    }
}

/// True when the user's own processes, which inherit the worker's environment, do the work of this kind.
fn runs_programs(kind: &str) -> bool {
    find(kind).is_some_and(|handler| handler.leaves_no_trace())
}

fn open_log(path: &Path) -> std::io::Result<File> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

struct LocalAttempt {
    id: AttemptId,
    number: WorkerId,
    /// `None` once the worker is back in the pool.
    worker: Option<Worker>,
    runs_programs: bool,
    /// True when the worker cannot return to the pool: it was told to end, or it serves only this attempt.
    spent: std::cell::Cell<bool>,
    pool: Rc<Pool>,
    logs: Arc<LogKeeper>,
    /// The kernel's counts when the attempt started.
    memory_kills: MemoryKills,
}

impl LocalAttempt {
    fn signal(&self, signal: Signal) {
        self.spent.set(true);
        if let Some(worker) = &self.worker {
            worker.signal(signal);
        }
    }
}

impl Attempt for LocalAttempt {
    fn process(&self) -> Option<&ProcessIdentity> {
        self.worker.as_ref().and_then(Worker::process)
    }

    fn worker(&self) -> WorkerId {
        self.number
    }

    fn send(&mut self, message: &ToAttempt) {
        if let Some(worker) = &mut self.worker
            && around!("executor.send", worker.send(message)).is_err()
        {
            worker.hang_up();
        }
    }

    fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// The next engine ends the attempt, so it hears nothing again.
    fn settled(&mut self, _reports: u64) {}

    fn reap(&mut self, sweep: Sweep) -> Exit {
        let Some(mut worker) = self.worker.take() else { return Exit::default() };
        if sweep == Sweep::Group && worker.is_idle() && !self.spent.get() {
            self.logs.finish(&self.id);
            self.pool.give_back(worker);
            return Exit::default();
        }
        // A worker that is not idle may have left a process of the user's program.
        let marked = sweep == Sweep::GroupAndMarked || self.runs_programs && !worker.is_idle();
        let mut exit = worker.reap(marked.then_some(&self.id));
        exit.out_of_memory = exit.signal == Some(9) && self.memory_kills.has_grown();
        if exit.survivors.is_empty() {
            self.logs.finish(&self.id);
        } else {
            self.worker = Some(worker);
        }
        exit
    }
}
