//! The state database, in SQLite. The only crate with rusqlite: each engine has one writer, readers have their own connections.
//!
//! It decides nothing: the engine gives it events, and it projects them onto tables. Start reading at [`Store`] and [`Reader`];
//! `specs/durability.md` has the rules.
//!
//! Each folder may use those before it: `decode` (columns and rows), `rows` (what queries return), `series` (long series in blocks), `integrity` (the hash
//! chain, its head, the seal), `open`, `read`, `write`, `check` (`db check`), `backup`.

mod backup;
mod batch;
mod check;
mod decode;
mod error;
mod files;
mod floor;
#[cfg(debug_assertions)]
pub mod full_disk;
mod holder;
mod integrity;
mod layout;
mod open;
mod read;
mod rows;
mod series;
#[cfg(debug_assertions)]
pub mod statements;
#[cfg(test)]
mod tests;
mod write;

pub use backup::{Backup, restore};
pub use batch::{
    Adoption, Batch, CommitReport, LeaseExtension, MetricWrite, NewRun, SeriesWrite, Submitted, UsageWrite,
};
pub use check::{Problem, check};
pub use error::StoreError;
pub use floor::raw_commits;
pub use holder::Holder;
pub use integrity::head::check_content as check_head_content;
pub use layout::{
    ARTIFACTS_DIR, BACKUPS_DIR, DATABASE_FILE, HEAD_FILE, LOCK_FILE, LOG_FILE, NOTIFY_LOG_FILE, RUNS_DIR,
    TENSORBOARD_DIR, WAKE_FILE, attempt_log, last_sign_of_life, project_diff, scratch_dir, set_aside_dir,
    tensorboard_folder,
};
pub use open::lock::EngineLock;
pub use read::{
    EventsAfter, Family, FilePage, MessageCounts, Order, Reader, RunFilter, RunLimits, RunParams, SeriesStep,
    StepCounts, StepFilter, StepPage, StepPlace, StepTotals,
};
pub use rows::{
    After, Annotation, Answer, Attempted, AttemptedStep, BatchChecked, BatchCounts, BatchEnding, BatchOutcome,
    BatchRow, BatchUsage, CheckpointRow, Children, DecisionRow, EventRow, FileRow, HashedEvent, LineError,
    MachineEventRow, MachineRow, MessageOutcome, MessageRow, NewMachine, NewMessage, Reference, ReferenceHolder,
    Remark, RequestRow, RunRow, RunRows, SampleRow, ScheduleOptions, ScheduleRow, SignalRow, StepRow, TokenKind,
    TokenRow, Unreadable, UsageRow, WaitRow,
};
pub use series::{Extremes, Point, SeriesRange};
pub use write::Store;
