//! Queries on the state, by subject. What grows with history is read in pages, row by row, or through an index.

mod annotations;
mod artifacts;
mod budgets;
mod effort;
mod history;
mod limits;
mod look;
mod lookups;
mod names;
mod notifications;
pub(crate) mod reader;
mod references;
mod requests;
pub(crate) mod runs;
mod schedules;
mod steps;
mod waits;

pub use history::{EventsAfter, SeriesStep};
pub use look::{Family, RunFilter, RunParams, StepCounts, StepFilter, StepTotals};
pub use reader::Reader;
