//! Checks a model of the lease-and-fence protocol exhaustively: four workers, writes that arrive late
//! or never, leases that expire at any moment. The model has no time, so a frozen worker, a clock that
//! jumps and a slow network are the same: somebody continues late.
//!
//! The model calls the store's own functions (`fence_holds`, `StepStatus::after`), not copies of them.
//!
//! A member of its own: `stateright` switches features of dependencies, and cargo would build them twice for everybody.
#![cfg(test)]

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model, Property};
use stepwell_base::artifact::Outputs;
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::ids::{Fence, StepId, StepKey};
use stepwell_run::event::{Event, StepEvent, StepEventKind};
use stepwell_run::status::{StepStatus, Transition, fence_holds};

const WORKERS: usize = 4;
/// Claims in one behaviour: each worker may hold the lease once, or some several times.
const CLAIMS: u64 = 4;
/// Checkpoints of a step.
const WORK: u64 = 2;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Guard {
    Fenced,
    /// The planted bug: any worker that believes it holds the lease may write.
    Open,
}

/// A worker waits for the answer to each write, so it has at most one in flight.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Worker {
    Idle,
    Claiming { fence: u64 },
    Working { fence: u64, done: u64 },
    Saving { fence: u64, done: u64 },
    Finishing { fence: u64 },
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct World {
    // The store.
    status: StepStatus,
    fence: u64,
    saved: u64,
    /// Sorted, because workers are interchangeable.
    workers: [Worker; WORKERS],
    // History, for the properties.
    commits: u8,
    /// Fence of the newest accepted write.
    writer: u64,
    older_writer_accepted: bool,
    saved_went_back: bool,
    two_holders: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    /// The worker takes its next action: it claims, works, or its write arrives. This may never happen.
    Go(usize),
    /// The engine releases the lease, whatever its holder does.
    Expire,
}

struct Lease {
    guard: Guard,
}

impl Model for Lease {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            status: StepStatus::Ready,
            fence: 0,
            saved: 0,
            workers: [Worker::Idle; WORKERS],
            commits: 0,
            writer: 0,
            older_writer_accepted: false,
            saved_went_back: false,
            two_holders: false,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let claimable = world.status == StepStatus::Ready && world.fence < CLAIMS;
        let goes = |worker: &Worker| *worker != Worker::Idle || claimable;
        actions.extend((0..WORKERS).filter(|&number| goes(&world.workers[number])).map(Action::Go));
        if world.status == StepStatus::Running {
            actions.push(Action::Expire);
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        match action {
            Action::Expire => {
                self.store(&mut next, &released(world.fence));
            }
            Action::Go(number) => next.workers[number] = self.go(&mut next, world.workers[number]),
        }
        next.workers.sort_unstable();
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("only the newest holder of the lease changes the step", |_, world: &World| {
                !world.older_writer_accepted
            }),
            Property::always("checkpoints never go back", |_, world: &World| !world.saved_went_back),
            Property::always("committed at most once", |_, world: &World| world.commits <= 1),
            Property::always("a fence is given out once", |_, world: &World| !world.two_holders),
            Property::sometimes("a step succeeds although its first holders were lost", |_, world: &World| {
                world.commits == 1 && world.writer == CLAIMS
            }),
            Property::sometimes("a worker continues after its lease was given to another", |_, world: &World| {
                world.workers.iter().any(|w| matches!(w, Worker::Working { fence, .. } if *fence < world.fence))
            }),
        ]
    }
}

impl Lease {
    fn go(&self, world: &mut World, worker: Worker) -> Worker {
        match worker {
            Worker::Idle => Worker::Claiming { fence: world.fence + 1 },
            Worker::Claiming { fence } if self.store(world, &started(fence)) => {
                let holds = |w: &Worker| matches!(w, Worker::Working { fence: its, .. } if *its == fence);
                world.two_holders |= world.workers.iter().any(holds);
                Worker::Working { fence, done: world.saved }
            }
            Worker::Working { fence, done } if done < WORK => Worker::Saving { fence, done: done + 1 },
            Worker::Working { fence, .. } => Worker::Finishing { fence },
            Worker::Saving { fence, done } if self.store(world, &saved(fence, done)) => {
                world.saved_went_back |= done < world.saved;
                world.saved = done;
                note_writer(world, fence);
                Worker::Working { fence, done }
            }
            Worker::Finishing { fence } if self.store(world, &succeeded(fence)) => {
                world.commits += 1;
                note_writer(world, fence);
                Worker::Idle
            }
            // Refused: another worker holds the lease.
            Worker::Claiming { .. } | Worker::Saving { .. } | Worker::Finishing { .. } => Worker::Idle,
        }
    }

    /// Checks the fence, then the status, like `store::apply`; true when the event was accepted.
    fn store(&self, world: &mut World, event: &Event) -> bool {
        let Event::Step(event) = event else { return false };
        if self.guard == Guard::Fenced && !fence_holds(event, world.status, Fence(world.fence)) {
            return false;
        }
        match world.status.after(&event.kind) {
            Transition::Keep => {}
            Transition::To(status) => world.status = status,
            Transition::Illegal => return false,
        }
        if let StepEvent { fence: Some(fence), kind: StepEventKind::AttemptStarted { .. }, .. } = event {
            world.fence = fence.0;
        }
        true
    }
}

fn note_writer(world: &mut World, fence: u64) {
    world.older_writer_accepted |= fence < world.fence;
    world.writer = fence;
}

fn step() -> StepId {
    StepId::from("a")
}

fn released(fence: u64) -> Event {
    StepEventKind::AttemptReleased { reason: "silent".to_owned(), cause: None }.under(step(), Fence(fence))
}

fn started(fence: u64) -> Event {
    StepEventKind::AttemptStarted {
        attempt: u32::try_from(fence).unwrap(),
        key: StepKey(String::new()),
        with: serde_json::Value::Null,
        lease_expires_at: jiff::Timestamp::UNIX_EPOCH,
        resources: Default::default(),
    }
    .under(step(), Fence(fence))
}

fn saved(fence: u64, done: u64) -> Event {
    let checkpoint = Checkpoint {
        artifact: None,
        state: serde_json::Value::Null,
        last_step: Some(done),
        last_doc_index: None,
        tokens_so_far: None,
        loss: None,
        phase: None,
        permanent: false,
        keep: None,
        ..Checkpoint::default()
    };
    StepEventKind::CheckpointCommitted { checkpoint }.under(step(), Fence(fence))
}

fn succeeded(fence: u64) -> Event {
    StepEventKind::Succeeded { outputs: Outputs::default() }.under(step(), Fence(fence))
}

#[test]
fn with_the_fence_no_behaviour_of_four_workers_is_wrong() {
    let checker = Lease { guard: Guard::Fenced }.checker().threads(2).spawn_bfs().join();
    println!("{} states, depth {}", checker.unique_state_count(), checker.max_depth());
    assert!(checker.is_done() && checker.unique_state_count() > 1_000, "the whole space was looked at");
    checker.assert_properties();
}

#[test]
fn without_the_fence_the_model_finds_the_zombie() {
    let broken = ["only the newest holder of the lease changes the step", "checkpoints never go back"];
    let enough = HasDiscoveries::AllOf(BTreeSet::from(broken));
    let checker = Lease { guard: Guard::Open }.checker().threads(2).finish_when(enough).spawn_bfs().join();
    let found = checker.discoveries();
    for property in broken {
        assert!(found.contains_key(property), "no counterexample for `{property}`");
    }
}
