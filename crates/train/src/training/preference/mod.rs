//! Learning from preferences: pairs of a chosen and a rejected answer, or answers with a label.

mod figures;
#[cfg(test)]
#[cfg(feature = "flex")]
mod golden_tests;
mod math;
mod objective;
mod rows;
mod step;

pub use figures::Figures;
pub use objective::{NllOf, PreferenceError, PreferenceLoss, PreferenceObjective};
pub use step::{Answers, Judged, Reference, StepShare, judge, logps, raised_tokens};
