//! A study: the same training with one thing changed, several seeds for each, and one report.
//!
//! `study.runs` lists the trainings, a fan-out trains and evaluates them, `study.report` compares the arms seed by seed.

mod compare;
mod report;
mod runs;
mod table;
#[cfg(test)]
mod tests;

pub use report::REPORT as STUDY_REPORT;
pub use runs::RUNS as STUDY_RUNS;
