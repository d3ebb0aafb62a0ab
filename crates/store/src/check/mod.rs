//! `stepwell db check`: looks for damage in the file, in the hash chain, and between the log and the tables.

mod blocks;
mod compare;
mod findings;
mod log;
mod rebuild;
mod replay;
mod tables;
mod unlogged;
mod whole;

pub use findings::Problem;
pub use whole::check;
