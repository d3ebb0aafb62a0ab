//! The simulated clock: time passes only while the engine waits.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::clock::Clock;

use super::world::{Passed, Shared, point};

pub(super) struct SimulatedClock {
    world: Shared,
    started_at: Timestamp,
    elapsed_before: Duration,
}

impl SimulatedClock {
    pub fn start(world: &Shared) -> SimulatedClock {
        let (started_at, elapsed_before) = {
            let mut world = world.borrow_mut();
            world.time.engine_starts();
            (world.time.wall(), world.time.elapsed)
        };
        SimulatedClock { world: world.clone(), started_at, elapsed_before }
    }

    fn engine_time(&self) -> Timestamp {
        let passed = self.world.borrow().time.elapsed - self.elapsed_before;
        self.started_at + SignedDuration::try_from(passed).unwrap_or_default()
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        point(&self.world);
        self.engine_time()
    }

    fn wall(&self) -> Timestamp {
        point(&self.world);
        self.world.borrow().time.wall()
    }

    fn instant(&self) -> Instant {
        self.world.borrow().time.instant()
    }

    fn new_id(&self) -> Uuid {
        // The engine may die between the commits of two submissions.
        point(&self.world);
        self.world.borrow_mut().new_id()
    }

    fn receive<T>(&self, queue: &Receiver<T>, limit: Option<Duration>) -> Option<T> {
        point(&self.world);
        // Rounding up to whole milliseconds keeps a sleep from ending early.
        let limit = limit
            .map(|limit| Duration::from_millis(u64::try_from(limit.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)));
        let now = self.engine_time();
        let until = self.world.borrow_mut().before_wait(limit, now);
        loop {
            if let Ok(item) = queue.try_recv() {
                let now = self.engine_time();
                self.world.borrow_mut().woke(now);
                return Some(item);
            }
            let passed = self.world.borrow_mut().pass(until);
            match passed {
                Passed::Something => {}
                Passed::Everything => {
                    let now = self.engine_time();
                    self.world.borrow_mut().woke(now);
                    return None;
                }
                Passed::Crash => super::world::crash(&self.world),
            }
        }
    }
}
