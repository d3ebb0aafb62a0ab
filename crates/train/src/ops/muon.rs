//! Factors of a Muon step; the kernel is in `cpu/muon.rs`.

/// Factors of a Muon step that are equal for all parameters (Jordan et al. 2024, "Muon: An optimizer for hidden layers
/// in neural networks").
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MuonStep {
    pub learning_rate: f64,
    /// Decay of the Nesterov momentum.
    pub momentum: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Factor applied to the gradient first: the clipping factor.
    pub gradient_scale: f32,
}

impl MuonStep {
    /// Coefficients of the odd polynomial `a x + b x^3 + c x^5`, which maps singular values in (0, 1] to about 0.7 to
    /// 1.2 within a few iterations.
    pub const COEFFICIENTS: [f64; 3] = [3.4445, -4.7750, 2.0315];
    pub const ITERATIONS: usize = 5;
    /// Lower bound of the norm that a matrix is divided by.
    pub const EPSILON: f64 = 1e-7;

    /// Factor of the update of a matrix of this shape. An orthogonal matrix has the root mean square
    /// `1 / sqrt(max(rows, columns))`; the update is scaled to a root mean square of 0.2, as with AdamW, so one
    /// learning rate, schedule and weight decay fit both optimizers (Liu et al. 2025, "Muon is scalable for LLM
    /// training").
    pub fn step_size(&self, rows: usize, columns: usize) -> f64 {
        self.learning_rate * 0.2 * (rows.max(columns) as f64).sqrt()
    }

    pub fn kept(&self) -> f64 {
        1.0 - self.learning_rate * self.weight_decay
    }
}
