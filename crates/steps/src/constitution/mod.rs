//! Step kinds of the constitutional pipeline: a base model makes the data with which it is tuned, and guards, quality control,
//! calibrated scorers and a gate stand in between. `specs/constitutional.md` describes it; the pure parts are a crate of their own.

mod builtin;
mod data;
mod files;
mod judge;
mod kind;
mod model;
#[cfg(test)]
pub mod tests;

pub use data::{CRITIQUE, INSTRUCTIONS, PAIRS, QUALITY, RESPOND, REVISE};
pub use judge::{CALIBRATE, COMPARE, EVALUATE, REPORT, SENTINELS};
pub use kind::ConstitutionKind;
