//! Model, kernels, optimizer, training, inference and evaluation. The only crate with burn.
//!
//! It does not know steps, runs or artifacts: files come in as paths. Each module imports only modules above it in this
//! list:
//!
//! - `cpu`: threads and vector instructions; [`precision`]; [`data`]: token files to rows of batches;
//! - [`device`]: opens a compute device;
//! - [`ops`]: the operations of a transformer, with kernels for CPUs and GPUs;
//! - [`model`]: the transformer, its configuration and its files;
//! - [`optim`]: gradients to updated parameters;
//! - [`training`]: the loop, its plan and its checkpoints; [`inference`]; [`evaluation`].
//!
//! Start reading at [`training`] and [`model`].
#![recursion_limit = "256"]

mod cpu;
pub mod data;
pub mod device;
pub mod evaluation;
pub mod inference;
pub mod model;
pub mod ops;
pub mod optim;
pub mod precision;
pub mod training;

pub use device::backends;
