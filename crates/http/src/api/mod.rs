//! The API under `/api/v1`: one file for each subject.

pub mod content;
pub mod control;
pub mod events;
pub(crate) mod forms;
pub mod health;
pub mod measured;
pub mod metrics;
pub mod remarks;
pub mod runs;
pub mod schedules;
pub mod situation;
pub mod steps;
mod stream;
pub mod submit;
pub mod tokens;
pub mod webhooks;
pub mod workflows;
