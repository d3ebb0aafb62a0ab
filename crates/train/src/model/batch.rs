//! One micro-batch of token ids on the host.

/// `[batch, seq]` tokens, row-major, with everything the loss needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub ids: Vec<u32>,
    /// Token to predict at each position; -1 is not counted.
    pub targets: Vec<i32>,
    /// First position in the row of the token's own document; attention never looks before it.
    pub starts: Vec<u32>,
    /// Number of rows.
    pub batch: usize,
    /// Tokens per row.
    pub seq: usize,
    /// Seed of the dropout masks of this training step, or `None` to drop nothing.
    pub dropout_seed: Option<u64>,
}
