//! Queries on the state, by subject. What grows with history is read in pages, row by row, or through an index.

mod annotations;
mod artifacts;
mod attempts;
mod budgets;
mod effort;
mod events;
mod limits;
mod lookups;
mod names;
mod notifications;
pub(crate) mod reader;
mod references;
mod requests;
pub(crate) mod runs;
mod schedules;
mod series;
mod steps;
mod waits;

pub use events::EventsAfter;
pub use reader::Reader;
pub use series::SeriesStep;
