//! One micro-batch of token ids on the host.

/// `[batch, seq]` tokens, row-major, with everything the loss needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Token ids.
    pub ids: Vec<u32>,
    /// The token to predict at each position; -1 is not counted.
    pub targets: Vec<i32>,
    /// First position of the own document in the row: attention never looks before it.
    pub starts: Vec<u32>,
    /// Rows.
    pub batch: usize,
    /// Tokens per row.
    pub seq: usize,
    /// Seed of the dropout masks of this training step, or `None` to drop nothing.
    pub dropout_seed: Option<u64>,
}
