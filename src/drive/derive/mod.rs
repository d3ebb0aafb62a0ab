//! New runs from earlier ones, for `rerun` and `fork`.

mod earlier_run;
mod fork_fit;
mod fork_point;

pub use earlier_run::{EarlierRun, NewRunArgs};
pub use fork_point::fork_at;
