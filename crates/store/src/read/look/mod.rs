//! Queries of verbs that show runs to people.

mod fan_out;
mod params;
mod pinned;
mod readings;
mod run_pages;
mod step_names;
mod step_pages;
mod tokens;
mod values;

pub use params::RunParams;
pub use pinned::RunLimits;
pub use run_pages::{Family, RunFilter, StepTotals};
pub use step_pages::{StepCounts, StepFilter, StepPage, StepPlace};
