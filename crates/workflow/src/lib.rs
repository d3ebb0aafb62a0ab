//! The workflow language: reads a TOML file, reports every problem at once, and yields a [`spec::WorkflowSpec`].
//!
//! Pure: no files, no clock, no database. It does not know the step kinds, which a [`catalog::Catalog`] describes, and
//! nothing of runs.
//!
//! Start reading at [`parse::workflow`]. A text becomes a [`document`] (TOML with positions), then a `draft` (keys and
//! types), which [`validate`] checks; [`template`] evaluates what a run fills in later. [`limits`], [`pools`], [`executor`], [`webhook`]
//! and [`rate_limit`] belong to the settings of a machine, [`key`] identifies equal work, [`outline`] reads the comments of params.

pub mod budget;
pub mod catalog;
pub mod diagnostic;
pub mod document;
mod draft;
pub mod graph;
pub mod key;
pub mod kinds;
pub mod limits;
mod machine;
pub mod outline;
pub mod parse;
pub mod pools;
pub mod rate_limit;
pub mod schema;
pub mod spec;
pub mod template;
pub mod timetable;
pub mod validate;

pub use machine::{executor, webhook};
