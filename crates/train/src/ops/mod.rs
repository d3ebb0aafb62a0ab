//! Transformer operations in up to three implementations with the same signatures: plain burn tensors for every device,
//! and fused kernels with hand-written backward passes for the CPU and for GPUs.

mod activation;
mod adafactor;
mod adamw;
mod attention_context;
#[cfg_attr(not(feature = "flex"), expect(dead_code, reason = "other backends only generate with these"))]
#[cfg_attr(not(any(test, feature = "flex")), expect(unused_imports, reason = "only what trains imports some"))]
mod cpu;
#[cfg(feature = "cube")]
pub(super) mod cube;
mod differentiable;
mod dropout_mask;
#[cfg(test)]
#[cfg(feature = "flex")]
mod fixtures;
#[cfg(feature = "flex")]
mod fused;
mod gelu;
pub mod gemm_rate;
mod kernels;
mod muon;
mod objective;
mod portable;

pub use activation::Activation;
pub use adafactor::{AdafactorStep, adafactor_matrix, adafactor_vector};
pub use adamw::{AdamWStep, adamw_update, sum_squares};
pub use attention_context::{AttentionContext, HeadLayout, RopeTable};
pub(super) use cpu::activation::swiglu_rows;
pub(super) use cpu::attention::attention;
pub(super) use cpu::cross_entropy::cap_row;
pub(super) use cpu::gemm;
pub use cpu::muon::muon_update;
pub(super) use cpu::norm::{rms_norm_in_place, rms_norm_rows};
pub(super) use cpu::parts::in_parts;
pub(super) use cpu::rope::rotate_heads;
pub use dropout_mask::DropoutMask;
pub(super) use gelu::gelu_in_place;
pub use kernels::{Implementation, Kernels};
pub use muon::MuonStep;
pub use objective::{LossOptions, Objective};
pub use portable::capped;

#[cfg(test)]
#[cfg(feature = "flex")]
mod tests;
