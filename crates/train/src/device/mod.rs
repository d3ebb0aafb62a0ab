//! Compute devices: which of them this machine has, how to open one, and which kernels each prefers.

mod backend;
mod drivers;
mod error;
#[cfg(test)]
#[cfg(all(feature = "cube", feature = "flex"))]
pub(crate) mod fixtures;
#[cfg(feature = "wgpu")]
mod graphics;
mod open;
pub mod tuning;

pub use backend::backends;
pub use burn::tensor::Device;
pub use error::DeviceError;
#[cfg(feature = "cube")]
pub(crate) use open::is_cube;
pub(crate) use open::is_flex;
pub use open::{DeviceReport, open, open_with, report, resolve};
