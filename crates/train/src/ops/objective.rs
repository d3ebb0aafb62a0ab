//! The training objective.

use std::sync::Arc;

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

/// Settings of the output head and of the loss that most trainings do not have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LossOptions {
    /// Limit of the logits, `cap tanh(logits / cap)` (Gemma 2, 2024, section 2); 0 disables it.
    pub softcap: f32,
    /// Weight of each token of the vocabulary as a target. Cross-entropy and z-loss of a row are multiplied by the
    /// weight of its target.
    pub token_weights: Option<Arc<[f32]>>,
    /// Weight of each row, besides that of its target.
    pub row_weights: Option<Arc<[f32]>>,
}

impl LossOptions {
    /// True if the loss is the usual one.
    pub fn is_plain(&self) -> bool {
        self.softcap == 0.0 && self.token_weights.is_none() && self.row_weights.is_none()
    }

    /// Weight of a row with this target; 0 for a row that does not count.
    pub fn weight(&self, row: usize, target: i32) -> f32 {
        let of_row = self.row_weights.as_ref().map_or(1.0, |weights| weights[row]);
        of_row * self.weight_of_target(target)
    }

    fn weight_of_target(&self, target: i32) -> f32 {
        match (&self.token_weights, usize::try_from(target)) {
            (_, Err(_)) => 0.0,
            (None, Ok(_)) => 1.0,
            (Some(weights), Ok(token)) => weights.get(token).copied().unwrap_or(1.0),
        }
    }
}
