//! `constitution.toml`.

mod constitution;
mod prompt;
mod rules;

pub use constitution::Constitution;
pub use prompt::{Prompts, numbered_list};
pub use rules::{CriticRules, GateRules, Principle, QualityRules, Sampling, SentinelRow};
