//! A team of threads that share one piece of work at a time (fork and join).
//!
//! A training step shares thousands of pieces of work, some shorter than 0.1 ms. Waking a thread through the operating
//! system takes about as long, so the team's threads stay awake between two pieces.
//!
//! The crate knows nothing about tensors or training. It stands alone so that a model checker can compile it: `--cfg
//! loom` replaces the atomics, locks and threads of every crate in the build, and without dependencies that is this
//! crate only. `RUSTFLAGS="--cfg loom" cargo test -p stepwell-thread-team --lib --target-dir target/loom` runs
//! the schedules of small teams, with every value that the memory model lets them read.
//!
//! Start reading at [`Team`], then [`Protocol`], which lists the orderings that the handshake needs.

mod items;
mod protocol;
mod spin;
mod sync;
mod team;

#[cfg(test)]
#[cfg(loom)]
mod loom_tests;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;

pub use protocol::{Protocol, Sound};
pub use team::Team;
