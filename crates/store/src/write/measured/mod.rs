//! Rows of the table `metric`: those of trainings, and those that programs report.

mod metrics;
mod series;

pub(super) use metrics::insert as insert_metric;
pub(super) use series::write as change_series;
