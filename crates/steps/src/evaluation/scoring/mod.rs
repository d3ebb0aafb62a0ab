//! Models as an evaluation sees them.

mod encode;
mod engine;
#[cfg(test)]
mod letters;
mod scorer;
mod windows;

pub use encode::{alone, continuation};
pub use engine::{EngineScorer, TokenizerOf};
pub use scorer::{Prompt, Scorer, Sequence};
pub use windows::windows;
