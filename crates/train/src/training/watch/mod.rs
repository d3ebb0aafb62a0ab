//! What a training measures of itself while it goes: loss on held-out text, texts, numbers of layers. Nothing here
//! changes the weights, the optimizer, the place in the data or a random number.

mod layers;
mod standing;
mod validation;
mod watching;

pub(super) use layers::LayerStats;
pub use standing::{Best, Standing, StopWhen, Validated};
pub use validation::Validation;
pub use watching::{Watch, WatchedWeights, Writer, Writing};
