//! Steps that make data, judge it, and make rows of it.

mod critique;
mod instructions;
mod pairs;
mod quality;
mod respond;
mod revise;

pub use critique::CRITIQUE;
pub use instructions::INSTRUCTIONS;
pub use pairs::PAIRS;
pub use quality::QUALITY;
pub(super) use respond::ENDS;
pub use respond::RESPOND;
pub use revise::REVISE;
