//! What a model computes: its sizes, its parts and its positions.

mod frequencies;
mod place;
mod rope;
mod sizes;

pub use place::{Part, Place};
pub use rope::{Ends, Rope, RopeKind};
pub use sizes::{Shape, limits};
