//! Kernels in cubecl's language: one source for CUDA, Vulkan, Metal and WebGPU.

pub mod activation;
pub mod adamw;
pub mod attention;
pub mod attention_backward;
pub mod attention_tile;
pub mod cross_entropy;
pub mod dropout;
pub mod embedding;
pub mod muon;
pub mod norm;
mod rope;
pub mod sums;
