//! Pure types and decisions. No files, no clock, no database, no threads.

pub mod apply;
pub mod artifact;
pub mod catalog;
pub mod decide;
pub mod diagnostic;
pub(crate) mod document;
pub mod duration;
pub mod event;
pub mod failure;
pub mod graph;
pub mod ids;
pub mod key;
pub mod kinds;
pub mod parse;
pub mod protocol;
pub mod provenance;
pub mod request;
pub mod retention;
pub mod retry;
pub mod rng;
pub mod run_options;
pub mod schedule;
pub mod schema;
pub mod spec;
pub mod state;
#[cfg(test)]
mod state_tests;
pub mod status;
pub mod suggest;
pub mod take_up;
pub mod template;
pub mod token_file;
pub mod trigram;
pub(crate) mod validate;
pub mod wait;
