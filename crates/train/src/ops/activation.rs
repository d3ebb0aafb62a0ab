//! Choice of the feed-forward activation.

/// Activation between the two projections of a feed-forward network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `silu(gate) * up` of `[gate, up]`.
    SwiGlu,
    /// The exact GELU.
    Gelu,
}
