//! Queries of verbs that show runs to people.

mod fan_out;
mod params;
mod readings;
mod step_names;
mod values;

pub use params::RunParams;
