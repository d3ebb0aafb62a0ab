//! What attempts measure: rows of the table `metric`, of trainings and of programs, texts, and what
//! processes use.

mod metrics;
mod samples;
mod series;
mod usage;

pub(super) use metrics::insert as insert_metric;
pub(super) use series::write as change_series;
pub(super) use usage::insert as insert_usage;
