//! How a run goes at this moment: its curves in short, its speed, the time left, and its health.

mod collect;
mod lines;
mod machine;

pub use collect::{Pulse, collect};
pub use machine::machine_readings;
