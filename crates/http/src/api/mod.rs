//! The API under `/api/v1`: one file for each subject.

pub mod artifacts;
pub mod control;
pub mod events;
mod file;
mod forms;
pub mod health;
pub mod logs;
pub mod metrics;
pub mod remarks;
pub mod runs;
pub mod schedules;
pub mod situation;
pub mod steps;
mod stream;
pub mod submit;
pub mod tokens;
pub mod workflows;
