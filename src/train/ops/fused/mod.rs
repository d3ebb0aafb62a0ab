//! The fused operations as burn operations: an extension of the Flex backend and, with gradients, of
//! automatic differentiation over it. Signatures and meaning are those of the portable operations.

mod differentiable;
mod extension;
mod operations;
mod tensors;

pub use tensors::{
    attention, cross_entropy, dropout, embedding, gelu, linear, linear_add, qk_norm, rms_norm, swiglu, token_nll,
};
