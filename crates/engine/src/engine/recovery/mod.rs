//! Handles startup, crashes and a full disk.

pub(crate) mod backoff;
pub(crate) mod crash_loop;
pub(crate) mod disk;
mod recover;
mod space;
