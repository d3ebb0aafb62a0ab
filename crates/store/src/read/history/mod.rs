//! Reads the history of steps: events, attempts, checkpoints, series, texts and use of the machine.

mod attempts;
mod events;
mod samples;
mod series;
mod usage;
mod values;

pub use events::EventsAfter;
pub use series::SeriesStep;
