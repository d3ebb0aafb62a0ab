//! GPU operations: hand-written kernels where stock tensors would launch many kernels or store too much, burn's matrix
//! products elsewhere. Signatures and meaning equal those of the portable operations.

mod activation;
mod attention;
mod buffers;
mod cross_entropy;
mod dropout;
mod embedding;
mod extension;
mod kernels;
mod loss;
mod muon;
mod norm;
mod operations;
mod optimizer;
mod product;
mod raw;
mod sums;
mod tensors;

pub use muon::{Stack, muon};
pub use tensors::{
    Trained, Uploaded, activated_linear, activated_linear_add, adamw, attention, cross_entropy, dropout, embedding,
    global_norm, linear, linear_add, norm_linear, qk_norm, rms_norm, token_nll,
};

#[cfg(test)]
#[cfg(feature = "flex")]
mod tests;
