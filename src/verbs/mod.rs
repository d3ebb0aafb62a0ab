//! The verbs: one file each, with its arguments, its help and its function, in the groups of README's tables.
//!
//! The doc comment of a verb's arguments is its help: the first paragraph is the short one.

pub mod control;
pub mod look;
pub mod maintain;
pub mod start;
mod verb;

pub use verb::Verb;
