//! A fake executor: its attempts are entries in the world's table of processes.

use std::cell::RefCell;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::executors::{Attempt, AttemptId, Executor, Exit, Launch, Report, Sweep, WorkerId};
use stepwell_base::failure::Failure;
use stepwell_base::ids::RunId;
use stepwell_base::protocol::ToAttempt;
use stepwell_run::event::ProcessIdentity;

use super::world::{Shared, point};

/// Time that an idle worker stays in the pool.
const IDLE: Duration = Duration::from_secs(5);

pub(super) struct FakeExecutor {
    world: Shared,
    idle: std::rc::Rc<RefCell<Vec<(WorkerId, Instant)>>>,
}

impl FakeExecutor {
    pub fn new(world: &Shared) -> FakeExecutor {
        FakeExecutor { world: world.clone(), idle: std::rc::Rc::default() }
    }
}

impl Executor for FakeExecutor {
    fn start(&self, launch: Launch) -> Result<Box<dyn Attempt>, Failure> {
        point(&self.world);
        let reusable = launch.resources.is_empty();
        let mut world = self.world.borrow_mut();
        world.check_launch(&launch);
        if world.is_unlucky(40) {
            world.note("cannot start");
            return Err(Failure::retryable("cannot start the attempt: worker process: out of processes"));
        }
        let taken = if reusable { self.idle.borrow_mut().pop() } else { None };
        let worker = match taken {
            // The worker dies before it reads the attempt, and its listener knows only the attempt.
            Some((dead, _)) if world.is_unlucky(4) => {
                world.tell_late(launch.id(), dead, Report::Ended);
                WorkerId::next()
            }
            Some((worker, _)) => worker,
            None => WorkerId::next(),
        };
        let (pid, process) = world.spawn(launch, worker, reusable);
        drop(world);
        point(&self.world);
        Ok(Box::new(FakeAttempt { world: self.world.clone(), idle: self.idle.clone(), pid, worker, process }))
    }

    fn adopt(&self, _id: &AttemptId) -> Result<Option<Box<dyn Attempt>>, String> {
        Ok(None)
    }

    fn end_leftovers(&self, id: &AttemptId, _process: Option<&ProcessIdentity>) -> Vec<u32> {
        self.world.borrow_mut().end_leftovers(|process| process.id == *id)
    }

    fn end_run(&self, run: RunId) -> Vec<u32> {
        self.world.borrow_mut().end_leftovers(|process| process.id.run == run)
    }

    fn end_workers(&self, _state_dir: &Path) -> Vec<u32> {
        self.world.borrow_mut().end_leftovers(|process| process.reusable)
    }

    fn deadline(&self) -> Option<Instant> {
        self.idle.borrow().iter().map(|(_, until)| *until).min()
    }

    fn retire(&self) {
        let now = self.world.borrow().time.instant();
        self.idle.borrow_mut().retain(|(_, until)| *until > now);
    }
}

struct FakeAttempt {
    world: Shared,
    idle: std::rc::Rc<RefCell<Vec<(WorkerId, Instant)>>>,
    pid: u32,
    worker: WorkerId,
    process: Option<ProcessIdentity>,
}

impl Attempt for FakeAttempt {
    fn process(&self) -> Option<&ProcessIdentity> {
        self.process.as_ref()
    }

    fn worker(&self) -> WorkerId {
        self.worker
    }

    fn send(&mut self, message: &ToAttempt) {
        point(&self.world);
        self.world.borrow_mut().hear_engine(self.pid, message);
    }

    fn terminate(&self) {
        self.world.borrow_mut().terminate(self.pid);
    }

    fn kill(&self) {
        self.world.borrow_mut().kill(self.pid, 9);
    }

    fn settled(&mut self, _reports: u64) {}

    fn reap(&mut self, sweep: Sweep) -> Exit {
        let mut world = self.world.borrow_mut();
        let (exit, kept) = world.reap(self.pid, sweep);
        if kept {
            self.idle.borrow_mut().push((self.worker, world.time.instant() + IDLE));
        }
        exit
    }
}
