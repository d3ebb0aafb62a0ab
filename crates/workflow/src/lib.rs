//! The workflow language: reads a TOML file, reports every problem at once, and yields a [`spec::WorkflowSpec`].
//!
//! Pure: no files, no clock, no database. It does not know the step kinds; a [`catalog::Catalog`] describes them. Start reading at
//! [`parse`], then [`validate`] and [`template`].

pub mod budget;
pub mod catalog;
pub mod diagnostic;
pub mod document;
pub mod graph;
pub mod key;
pub mod kinds;
pub mod limits;
pub mod parse;
pub mod pools;
pub mod rate_limit;
pub mod schema;
pub mod spec;
pub mod template;
pub mod timetable;
pub mod validate;
