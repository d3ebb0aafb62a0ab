//! Verbs that look after the state directory, this machine and this program.

pub mod bench;
pub mod chaos;
mod chosen_runs;
pub mod completions;
pub mod config;
pub mod db;
pub mod doctor;
pub mod gc;
pub mod keep;
pub mod note;
pub mod rm;
pub mod smoke_test;
pub mod tag;
