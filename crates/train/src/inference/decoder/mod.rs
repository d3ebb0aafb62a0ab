//! Inference on the host with a cache of keys and values: a few tokens at a time, plain Rust.
//!
//! It needs neither gradients nor a device, so it runs the same for models trained anywhere. Every weight is
//! read once for all tokens that are computed together.

mod attention;
mod cache;
mod forward;
mod weights;

pub use cache::Cache;
pub use forward::Decoder;
