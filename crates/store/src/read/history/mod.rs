//! Reads the history of steps: events, attempts, checkpoints, series and texts.

mod attempts;
mod events;
mod samples;
mod series;

pub use events::EventsAfter;
pub use series::SeriesStep;
