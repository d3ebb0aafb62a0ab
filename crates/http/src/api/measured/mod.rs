//! What was measured and written while steps ran, apart from series.

pub mod samples;
pub mod usage;
