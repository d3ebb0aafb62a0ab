//! The backends that this program knows.

use super::drivers;

/// A supported backend and the probe for its driver.
pub struct Backend {
    pub name: &'static str,
    pub compiled: bool,
    /// Describes the driver, or says what is missing.
    pub driver: fn() -> Result<String, String>,
}

/// Backends in the order in which `auto` tries them.
pub const BACKENDS: [Backend; 5] = [
    Backend { name: "cuda", compiled: cfg!(feature = "cuda"), driver: drivers::cuda },
    Backend { name: "metal", compiled: cfg!(feature = "metal"), driver: drivers::metal },
    Backend { name: "vulkan", compiled: cfg!(feature = "vulkan"), driver: drivers::vulkan },
    Backend { name: "wgpu", compiled: cfg!(feature = "wgpu"), driver: drivers::any_graphics },
    Backend { name: "flex", compiled: cfg!(feature = "flex"), driver: drivers::processor },
];

/// Names the compute backends of this build, by their Cargo features.
pub fn backends() -> impl Iterator<Item = &'static str> {
    let all = [
        ("flex", cfg!(feature = "flex")),
        ("wgpu", cfg!(feature = "wgpu")),
        ("vulkan", cfg!(feature = "vulkan")),
        ("metal", cfg!(feature = "metal")),
        ("cuda", cfg!(feature = "cuda")),
    ];
    all.into_iter().filter(|(_, on)| *on).map(|(name, _)| name)
}
