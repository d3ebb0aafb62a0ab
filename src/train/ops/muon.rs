//! What Muon multiplies with; the kernel is in `cpu/muon.rs`.

/// Everything of a Muon step that is equal for all parameters (Jordan et al. 2024, "Muon: An optimizer for
/// hidden layers in neural networks").
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MuonStep {
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Decay of the momentum, which is Nesterov's.
    pub momentum: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Multiplies the gradient first: the clipping factor.
    pub gradient_scale: f32,
}

impl MuonStep {
    /// Of the odd polynomial `a x + b x^3 + c x^5`, which takes singular values from (0, 1] to about 0.7 to 1.2
    /// in few iterations.
    pub const COEFFICIENTS: [f64; 3] = [3.4445, -4.7750, 2.0315];
    /// Newton-Schulz iterations.
    pub const ITERATIONS: usize = 5;
    /// Least norm that a matrix is divided by.
    pub const EPSILON: f64 = 1e-7;

    /// What a matrix of this shape is multiplied with before it is subtracted. An orthogonal matrix has the root
    /// mean square `1 / sqrt(max(rows, columns))`; the update gets 0.2, that of AdamW's, so that one learning
    /// rate, schedule and weight decay fit both (Liu et al. 2025, "Muon is scalable for LLM training").
    pub fn step_size(&self, rows: usize, columns: usize) -> f64 {
        self.learning_rate * 0.2 * (rows.max(columns) as f64).sqrt()
    }

    /// The part of a weight that its decay leaves.
    pub fn kept(&self) -> f64 {
        1.0 - self.learning_rate * self.weight_decay
    }
}
