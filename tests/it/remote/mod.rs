//! Rented machines at a provider that fails on purpose: `stepwell remote mock`, a process per call.

mod cloud;
#[cfg(feature = "failpoints")]
mod kills;
mod verbs;
