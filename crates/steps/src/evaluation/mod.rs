//! Evaluation of any model: tasks, scores, records of items, and the report. Without burn.
//!
//! Start reading at [`outcome::judge`].

mod compare;
pub mod outcome;
mod run;
pub mod samples;
pub mod scoring;
pub mod tasks;

pub use compare::EVAL_COMPARE;
pub use run::{Progress, run_tasks};
