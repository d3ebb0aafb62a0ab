//! Helpers for the tests of several step kinds, which run handlers against a real artifact store.

pub mod bench;
#[cfg(feature = "train")]
mod gives;
#[cfg(feature = "train")]
pub mod world;
