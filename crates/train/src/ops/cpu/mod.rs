//! Fused operations over host slices, forward and backward. Work is split by shape alone and partial sums are added in
//! a fixed order, so the bits do not depend on the number of threads.

pub mod activation;
pub mod attention;
pub mod cross_entropy;
pub mod dropout;
pub mod embedding;
pub mod gemm;
pub mod muon;
pub mod norm;
pub mod parts;
pub mod rope;
