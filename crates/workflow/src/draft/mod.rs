//! The shape of a workflow file: its keys and their types.

mod ids;
mod limits;
mod other_names;
mod policies;
mod secrets;
mod shape;
mod shell;

pub(crate) use other_names::in_command;
pub(crate) use shape::{Draft, STEP_KEYS, StepDraft};
