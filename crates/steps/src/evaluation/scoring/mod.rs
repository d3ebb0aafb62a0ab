//! Models as an evaluation sees them.

mod counts;
mod encode;
mod engine;
#[cfg(test)]
mod letters;
mod scorer;
mod windows;

pub use counts::{Counts, Order};
pub use encode::{alone, continuation};
pub use engine::{EngineScorer, TokenizerOf, Written};
pub use scorer::{Prompt, Scorer, Sequence};
pub use windows::windows;
