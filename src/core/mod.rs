//! Pure types and decisions. No files, no clock, no database, no threads.

pub mod artifact;
pub mod catalog;
pub mod diagnostic;
pub(crate) mod document;
pub mod duration;
pub mod event;
pub mod failure;
pub mod graph;
pub mod ids;
pub mod key;
pub mod parse;
pub mod protocol;
pub mod rng;
pub mod schema;
pub mod spec;
pub mod suggest;
pub mod template;
pub mod status;
pub mod token_file;
pub(crate) mod validate;
pub mod trigram;
