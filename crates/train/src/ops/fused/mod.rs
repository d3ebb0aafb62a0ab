//! Fused operations as burn operations: an extension of the Flex backend and, with gradients, of automatic
//! differentiation over it. Signatures and meaning equal those of the portable operations.

mod accumulating;
mod extension;
mod operations;
mod recomputed;
mod tensors;

pub use tensors::{
    activated, activated_linear, activated_linear_add, attention, capped_nll, cross_entropy, dropout, embedding,
    linear, linear_add, loss, norm_linear, qk_norm, rms_norm, token_nll,
};
