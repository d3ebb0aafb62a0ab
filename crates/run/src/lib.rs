//! The state machine of a run: [`decide`] turns a command into events, [`apply`] applies an event to the state.
//!
//! Pure: no files, no clock, no database, no processes; times come in as arguments. Start reading at [`state`], then [`decide`].

pub mod apply;
mod deadlines;
pub mod decide;
pub mod estimate;
pub mod event;
pub mod judgement;
pub mod provenance;
pub mod request;
pub mod restore;
pub mod retention;
pub mod retry;
pub mod run_options;
pub mod schedule;
pub mod state;
#[cfg(test)]
mod state_tests;
pub mod status;
pub mod take_up;
pub mod wait;
