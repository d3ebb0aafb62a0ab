//! Judges the health of a run while it works: a few numbers come in, named problems come out.

mod judge;
mod problem;
mod readings;
mod rules;
mod series;
#[cfg(test)]
mod tests;

pub use judge::judge;
pub use problem::{Finding, Problem, Severity};
pub use readings::{
    MOST_CHECKPOINTS, MOST_LOSSES, MOST_VALIDATIONS, MachineReadings, MemoryReading, Readings, StepReadings,
};
