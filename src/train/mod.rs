//! The only place that imports burn.

pub mod data;
pub mod plan;
pub mod schedule;
