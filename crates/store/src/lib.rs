//! The state database, in SQLite. The only crate with rusqlite: each engine has one writer, readers have their own connections.
//!
//! It decides nothing: the engine gives it events, and it projects them onto tables. Start reading at [`Store`] and [`Reader`];
//! `specs/durability.md` has the rules.

mod answers;
mod apply;
mod at_once;
mod backup;
mod batch;
mod chain;
mod check;
mod connection;
mod decode;
mod effort;
mod error;
mod events;
mod floor;
mod follow;
#[cfg(debug_assertions)]
pub mod full_disk;
mod head;
mod layout;
mod lock;
mod metrics;
mod migrate;
mod prune;
mod reader;
mod rebuild;
mod references;
mod replay;
mod rows;
mod run_lists;
mod schedules;
mod seal;
#[cfg(debug_assertions)]
pub mod statements;
mod submit;
mod tally;
#[cfg(test)]
mod tests;
mod waits;
mod wal;
mod writer;

pub use backup::{Backup, restore};
pub use batch::{Adoption, Answer, Batch, CommitReport, LeaseExtension, MetricWrite, NewRun, RequestRow, Submitted};
pub use check::{Problem, check};
pub use error::StoreError;
pub use floor::raw_commits;
pub use head::check_content as check_head_content;
pub use layout::{
    ARTIFACTS_DIR, BACKUPS_DIR, DATABASE_FILE, HEAD_FILE, LOCK_FILE, RUNS_DIR, WAKE_FILE, attempt_log,
    last_sign_of_life, scratch_dir,
};
pub use lock::{EngineLock, Holder};
pub use reader::Reader;
pub use rows::{
    AttemptedStep, CheckpointRow, Children, DecisionRow, EventRow, Holder as ReferenceHolder, Reference, RunRow,
    RunRows, SignalRow, StepRow, Unreadable, WaitRow,
};
pub use schedules::{ScheduleOptions, ScheduleRow};
pub use writer::Store;
