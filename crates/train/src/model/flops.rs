//! Floating-point operations of a model, counted by its shape and not by what an implementation executes.

use super::config::ModelConfig;

/// Text of the formula, for reports.
pub const FORMULA: &str = "per token 6 N + 12 L Q T: N parameters (the tied embedding once, as the output head), L layers, \
Q = heads x head_dim, T = context; Chowdhery et al. 2022 (PaLM), appendix B; causality is not subtracted";

/// Operations per token in one training step, forward and backward: [`FORMULA`].
pub fn per_token(shape: &ModelConfig) -> f64 {
    let parameters = shape.parameter_counts().total as f64;
    let attention = shape.layers as f64 * (shape.heads * shape.head_dim) as f64 * shape.context as f64;
    6.0 * parameters + 12.0 * attention
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep60_by_hand() {
        let deep60 = ModelConfig::preset("deep60").unwrap();
        assert_eq!(per_token(&deep60), 6.0 * 60_659_520.0 + 12.0 * 60.0 * 320.0 * 512.0);
        let short = ModelConfig { context: 1, ..deep60 };
        assert_eq!(per_token(&short), 6.0 * 60_659_520.0 + 12.0 * 60.0 * 320.0);
    }

    /// Attention is as wide as the heads, not as the residual stream, and every query head counts, however few key
    /// heads exist.
    #[test]
    fn attention_counts_query_heads() {
        let tiny = ModelConfig::preset("tiny").unwrap();
        let wide = ModelConfig { head_dim: 2 * tiny.head_dim, ..tiny.clone() };
        let of_parameters = |shape: &ModelConfig| 6.0 * shape.parameter_counts().total as f64;
        assert_eq!(per_token(&wide) - of_parameters(&wide), 2.0 * (per_token(&tiny) - of_parameters(&tiny)));
        let grouped = ModelConfig { kv_heads: 1, ..tiny.clone() };
        assert_eq!(per_token(&grouped) - of_parameters(&grouped), per_token(&tiny) - of_parameters(&tiny));
    }
}
