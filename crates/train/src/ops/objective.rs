//! The training objective.

/// Cross-entropy and z-loss, summed over the counted targets of a batch and divided by `divisor`.
///
/// The z-loss of a row is `z_loss * (log Z)^2`, where `log Z` is the log-sum-exp of its logits (PaLM, Chowdhery et al.
/// 2022, section 5). It keeps `log Z` near 0, where softmax and cross-entropy have the least rounding error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// Number of counted targets over all batches whose gradients are summed.
    pub divisor: f32,
    /// Weight of the z-loss; 0 disables it.
    pub z_loss: f32,
}

impl Objective {
    /// Cross-entropy without z-loss.
    pub fn cross_entropy(divisor: f32) -> Self {
        Objective { divisor, z_loss: 0.0 }
    }

    pub fn has_z_loss(self) -> bool {
        self.z_loss > 0.0
    }

    /// Number of terms that add up to the loss: the cross-entropy and, if enabled, the z-loss.
    pub fn terms(self) -> usize {
        if self.has_z_loss() { 2 } else { 1 }
    }
}
