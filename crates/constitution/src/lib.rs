//! The constitutional pipeline without its model: a base model writes instructions and answers, judges and revises them, and a gate
//! reads what became of it. Pure: no files, no clock, no weights.
//!
//! [`Constitution`] is the file that a person writes, [`Record`] travels through the steps, [`Stop`] ends a run with a code of its
//! own. Formats and thresholds: `specs/constitutional.md`.

mod data;
mod file;
mod guard;
mod judge;
mod stop;
#[cfg(test)]
mod tests;

pub use data::{
    CutOff, Flags, Held, Metadata, Preference, PreferencePair, Provenance, Quality, Record, Revision, SftRow, Summary,
    check_overlap, first_paragraph, flags, judge, normalised, read_lines, trim, write_lines,
};
pub use file::{
    Constitution, CriticRules, GateRules, Principle, Prompts, QualityRules, Sampling, SentinelRow, numbered_list,
};
pub use guard::{BosPolicy, GuardResult, PromptGuard};
pub use judge::{
    Approval, Arm, Baseline, Calibration, Comparison, Contrast, Critique, Decision, GateReport, GoldKind, GoldRow,
    Item, Label, LabelScores, Measured, Outcome, Scorer, Target, calibrate, compare, compare_sentinels, decide,
};
pub use stop::{Code, Stop};
