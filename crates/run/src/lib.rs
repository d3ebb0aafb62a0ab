//! The state machine of a run: a command becomes events, and events change the state.
//!
//! Pure: no files, no clock, no database, no processes; times come in as arguments. It does not know the step kinds or how
//! anything is stored.
//!
//! Start reading at `handle.rs`, which is the whole loop in a few lines. [`command`] and [`event`] hold its words, [`decide`]
//! judges, [`apply`] changes the [`state`]. [`status`] is the same history as the tables show it. [`health`] judges how a
//! run goes while it works.

pub mod apply;
pub mod command;
pub mod decide;
pub mod estimate;
pub mod event;
mod handle;
pub mod health;
pub mod item;
pub mod judgement;
pub mod next;
pub mod project;
pub mod provenance;
pub mod request;
pub mod retention;
pub mod retry;
pub mod run_options;
pub mod state;
pub mod status;
#[cfg(test)]
mod tests;
