//! What the tests of several step kinds share: handlers run against a real artifact store.

pub mod bench;
#[cfg(feature = "train")]
mod gives;
#[cfg(feature = "train")]
pub mod world;
