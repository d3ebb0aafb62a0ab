//! The shape of a workflow file: its keys and their types.

mod ids;
mod limits;
mod policies;
mod secrets;
mod shape;
mod shell;

pub(crate) use shape::{Draft, StepDraft};
