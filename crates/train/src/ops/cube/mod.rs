//! GPU operations: hand-written kernels where stock tensors would launch many kernels or store too much, burn's matrix
//! products elsewhere. Signatures and meaning equal those of the portable operations.

mod extension;
mod kernels;
mod launch;
mod loss;
mod muon;
mod operations;
mod raw;
mod tensors;
mod uploaded;

pub use muon::{Stack, muon};
pub use tensors::{
    Trained, activated, activated_linear, activated_linear_add, adamw, attention, cross_entropy, dropout, embedding,
    global_norm, linear, linear_add, norm_linear, qk_norm, rms_norm, token_nll,
};
pub use uploaded::Uploaded;

#[cfg(test)]
#[cfg(feature = "flex")]
mod tests;
