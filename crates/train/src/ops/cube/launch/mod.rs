//! Kernel launches: shapes, grids and outputs, on the tensors of one backend.

pub mod activation;
pub mod attention;
mod buffers;
pub mod cross_entropy;
pub mod dropout;
pub mod embedding;
pub mod muon;
pub mod norm;
pub mod optimizer;
pub mod product;
pub mod sums;
