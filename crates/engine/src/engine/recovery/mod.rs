//! What an engine does at its start, after crashes, and on a full disk.

pub(crate) mod backoff;
pub(crate) mod crash_loop;
pub(crate) mod disk;
mod recover;
mod space;
