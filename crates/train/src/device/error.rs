//! Reasons why a device cannot be used.

use thiserror::Error;

use crate::cpu::isa::IsaError;

/// A device that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DeviceError {
    #[error("`{name}` is not a device; use one of: auto, flex, cuda, metal, vulkan, wgpu")]
    Unknown { name: String },
    #[error("this build has no `{name}` support; rebuild with `--features {name}`, or use `flex`")]
    NotCompiled { name: &'static str },
    #[error("`{name}` has no driver on this machine: {missing}; install it, or use `flex`")]
    NoDriver { name: &'static str, missing: String },
    #[error(transparent)]
    Isa(#[from] IsaError),
    #[error("`{name}` has a driver but no working device: {reason}; try `flex`")]
    Unusable { name: &'static str, reason: String },
    #[error("`{name}` has no bf16 here; use `precision = \"f32\"`, or another device")]
    NoBf16 { name: &'static str },
}
