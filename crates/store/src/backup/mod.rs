//! Copies the database while an engine writes, and restores a copy while none runs. A backup is a folder laid out like
//! a state directory, so every verb that reads can read a backup.

mod copy;
mod restore;
mod snapshot;

pub use restore::restore;
pub use snapshot::Backup;
