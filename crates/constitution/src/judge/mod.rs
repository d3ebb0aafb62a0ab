//! Judgements: critics, sentinels, scorers, arms, and the decision.

mod arms;
mod calibration;
mod critic;
mod gate;
mod scorer;
mod sentinel;

pub use arms::{Arm, Comparison, Contrast, Outcome, compare};
pub use calibration::{Calibration, GoldKind, GoldRow, calibrate};
pub use critic::{Critique, Label, LabelScores, Target};
pub use gate::{Approval, Decision, GateReport, decide};
pub use scorer::{Item, Scorer};
pub use sentinel::{Baseline, Measured, compare_sentinels};
