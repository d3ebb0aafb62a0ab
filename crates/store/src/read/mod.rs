//! Queries on the state, by subject. What grows with history is read in pages, row by row, or through an index.

mod annotations;
mod artifacts;
mod budgets;
mod control;
mod effort;
mod history;
mod look;
mod lookups;
mod machines;
mod names;
mod notifications;
pub(crate) mod reader;
mod references;
pub(crate) mod runs;
mod served;
mod steps;
mod webhooks;

pub use history::{EventsAfter, SeriesStep};
pub use look::{Family, RunFilter, RunLimits, RunParams, StepCounts, StepFilter, StepPage, StepPlace, StepTotals};
pub use reader::Reader;
pub use served::{FilePage, Order};
pub use webhooks::MessageCounts;
