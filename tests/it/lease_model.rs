//! The lease-and-fence protocol as a model, checked exhaustively: four workers, leases that run out at any
//! moment, writes that arrive late, twice or not at all. Time does not exist in it, so a worker that was
//! frozen, a clock that jumps and a slow network are all the same: somebody goes on late.
//!
//! The model asks the functions that the store asks (`fence_holds`, `StepStatus::after`), not copies of them.

use std::collections::BTreeMap;

use stateright::{Checker, Model, Property};
use stepwell::core::artifact::Outputs;
use stepwell::core::event::{Checkpoint, Event};
use stepwell::core::ids::{Fence, StepId, StepKey};
use stepwell::core::status::{StepStatus, Transition, fence_holds};

const WORKERS: usize = 4;
/// Claims in one behaviour: every worker may hold the lease once, or one of them several times.
const CLAIMS: u64 = 4;
/// Checkpoints that a step takes.
const WORK: u64 = 2;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Guard {
    Fenced,
    /// The planted bug: a write is accepted from whoever thinks that it holds the lease.
    Open,
}

/// Workers are alike, so the world keeps them in order. A worker that waits between deciding and acting
/// stands for a write that is under way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Worker {
    Idle,
    /// Has asked for the lease under this fence.
    Claiming(u64),
    Working {
        fence: u64,
        done: u64,
    },
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct World {
    // The store.
    status: StepStatus,
    fence: u64,
    saved: u64,
    // The rest of the world.
    workers: [Worker; WORKERS],
    // What has happened, for the properties.
    commits: u8,
    /// Fence of the newest write that was accepted.
    writer: u64,
    older_writer_accepted: bool,
    saved_went_back: bool,
    two_holders: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Delivery {
    Arrives,
    Lost,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Ask(usize),
    Claim(usize),
    Save(usize, Delivery),
    /// The last checkpoint once more.
    Repeat(usize),
    Succeed(usize, Delivery),
    Die(usize),
    /// The engine gives the lease back, whatever its holder does.
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
        use Delivery::{Arrives, Lost};
        let claimable = world.status == StepStatus::Ready && world.fence < CLAIMS;
        for (i, worker) in world.workers.iter().enumerate().filter(|(i, w)| !world.workers[..*i].contains(w)) {
            match worker {
                Worker::Idle if claimable => actions.push(Action::Ask(i)),
                Worker::Idle => {}
                Worker::Claiming(_) => actions.extend([Action::Claim(i), Action::Die(i)]),
                Worker::Working { done, .. } => {
                    let next = if *done < WORK { Action::Save } else { Action::Succeed };
                    actions.extend([next(i, Arrives), next(i, Lost), Action::Repeat(i), Action::Die(i)]);
                }
            }
        }
        if world.status == StepStatus::Running {
            actions.push(Action::Expire);
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        match action {
            Action::Ask(i) => next.workers[i] = Worker::Claiming(world.fence + 1),
            Action::Claim(i) => {
                let Worker::Claiming(fence) = world.workers[i] else { return None };
                next.workers[i] = Worker::Idle;
                if self.store(&mut next, &claimed(fence)) {
                    let same = |other: &Worker| matches!(other, Worker::Working { fence: its, .. } if *its == fence);
                    next.two_holders |= next.workers.iter().any(same);
                    next.workers[i] = Worker::Working { fence, done: world.saved };
                }
            }
            Action::Save(i, delivery) => {
                let Worker::Working { fence, done } = world.workers[i] else { return None };
                next.workers[i] = Worker::Working { fence, done: done + 1 };
                if delivery == Delivery::Arrives {
                    self.save(&mut next, fence, done + 1);
                }
            }
            Action::Repeat(i) => {
                let Worker::Working { fence, done } = world.workers[i] else { return None };
                self.save(&mut next, fence, done);
            }
            Action::Succeed(i, delivery) => {
                let Worker::Working { fence, .. } = world.workers[i] else { return None };
                next.workers[i] = Worker::Idle;
                let event = Event::StepSucceeded { step: step(), fence: Fence(fence), outputs: Outputs::default() };
                if delivery == Delivery::Arrives && self.store(&mut next, &event) {
                    next.commits += 1;
                    note_writer(&mut next, fence);
                }
            }
            Action::Die(i) => next.workers[i] = Worker::Idle,
            Action::Expire => {
                let event =
                    Event::AttemptReleased { step: step(), fence: Fence(world.fence), reason: "silent".to_owned() };
                self.store(&mut next, &event);
            }
        }
        next.workers.sort();
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
            Property::sometimes("a worker goes on after its lease was given to another", |_, world: &World| {
                world.workers.iter().any(|w| matches!(w, Worker::Working { fence, .. } if *fence < world.fence))
            }),
        ]
    }
}

impl Lease {
    fn save(&self, world: &mut World, fence: u64, done: u64) {
        if self.store(world, &saved(fence, done)) {
            world.saved_went_back |= done < world.saved;
            world.saved = done;
            note_writer(world, fence);
        }
    }

    /// What `store::apply` does with an event: the fence, then the status. True when it was accepted.
    fn store(&self, world: &mut World, event: &Event) -> bool {
        if self.guard == Guard::Fenced && !fence_holds(event, world.status, Fence(world.fence)) {
            return false;
        }
        match world.status.after(event) {
            Transition::Keep => {}
            Transition::To(status) => world.status = status,
            Transition::Illegal => return false,
        }
        if let Event::AttemptStarted { fence, .. } = event {
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

fn claimed(fence: u64) -> Event {
    Event::AttemptStarted {
        step: step(),
        attempt: u32::try_from(fence).unwrap(),
        fence: Fence(fence),
        key: StepKey(String::new()),
        with: serde_json::Value::Null,
        lease_expires_at: jiff::Timestamp::UNIX_EPOCH,
        resources: BTreeMap::new(),
    }
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
    };
    Event::CheckpointCommitted { step: step(), fence: Fence(fence), checkpoint }
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
    let checker = Lease { guard: Guard::Open }.checker().threads(2).spawn_bfs().join();
    let found = checker.discoveries();
    for property in ["only the newest holder of the lease changes the step", "checkpoints never go back"] {
        assert!(found.contains_key(property), "no counterexample for `{property}`");
    }
}
