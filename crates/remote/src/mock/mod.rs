//! A provider in a folder, which fails on purpose: for drills and for trying out the verbs without money.
//!
//! Every call is a process of its own (`stepwell remote mock`), so a call outlives the process that made it, as at a real
//! provider. `cloud` has the instances, `faults` what goes wrong.

mod cloud;
mod faults;

pub use cloud::{Answer, answer, bill};
