//! Quality rules from published filters: what each measures, its thresholds, and which document they drop.

mod counts;
mod grams;
mod measure;
mod page;
mod rules;
mod set;
#[cfg(test)]
mod tests;

pub use rules::{Preset, Rule, rule};
pub use set::Thresholds;
