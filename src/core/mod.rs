//! Pure types and decisions. No files, no clock, no database, no threads.

pub mod artifact;
pub mod catalog;
pub mod event;
pub mod failure;
pub mod ids;
pub mod protocol;
pub mod rng;
pub mod spec;
pub mod status;
pub mod token_file;
pub mod trigram;
