//! What training minimises.

/// Cross-entropy and z-loss, as sums over the counted targets of a batch divided by `divisor`.
///
/// The z-loss is `z_loss * (log Z)^2`, `log Z` the logarithm of the sum of the exponentials of a row's logits (PaLM,
/// Chowdhery et al. 2022, section 5). It keeps `log Z` near 0, where softmax and cross-entropy round least.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// Number of counted targets in all batches whose gradients are summed.
    pub divisor: f32,
    /// Weight of the z-loss; 0 for none.
    pub z_loss: f32,
}

impl Objective {
    /// Cross-entropy alone.
    pub fn cross_entropy(divisor: f32) -> Self {
        Objective { divisor, z_loss: 0.0 }
    }

    /// Whether there is a z-loss.
    pub fn has_z_loss(self) -> bool {
        self.z_loss > 0.0
    }

    /// Numbers that add up to the loss: the cross-entropy and, if there is one, the z-loss.
    pub fn terms(self) -> usize {
        if self.has_z_loss() { 2 } else { 1 }
    }
}
