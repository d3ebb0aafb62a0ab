//! Runs attempts on other systems. An attempt is a folder of files (`folder`): its request, the engine's orders, and what the agent
//! tells. The agent (`agent`) is this binary on the other side; it runs the attempt as an engine here would, in a child process.
//! A thread per attempt (`driver`) submits, polls and ends it; the engine's thread never waits for a cluster.

mod agent;
mod attempt;
mod binary;
mod driver;
mod folder;
mod host;
mod messages;
mod other_side;
mod program;
mod slurm;
mod ssh;
mod tracked;

pub use agent::agent;
pub(super) use attempt::Remote;
pub(crate) use folder::JobFolder;
pub use other_side::{end, look};
