//! What attempts measure: rows of the table `metric`, of trainings and of programs, and texts.

mod metrics;
mod samples;
mod series;

pub(super) use metrics::insert as insert_metric;
pub(super) use series::write as change_series;
