//! Reads the history of steps: events, attempts, checkpoints and series.

mod attempts;
mod events;
mod series;

pub use events::EventsAfter;
pub use series::SeriesStep;
