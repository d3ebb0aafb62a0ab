//! Model, kernels, optimizer, training, inference and evaluation. The only crate with burn.
//!
//! It does not know steps, runs or artifacts: files come in as paths. Start reading at [`run_loop`] and [`model`].
#![recursion_limit = "256"]

pub mod cadence;
pub mod checkpoint;
mod choice;
pub mod config;
mod cpu;
pub mod data;
pub mod decoder;
pub mod device;
pub mod gemm_rate;
pub mod generate;
pub mod hf_config;
pub mod likelihood;
pub mod model;
pub mod ops;
pub mod optim;
pub mod plan;
pub mod precision;
pub mod run_loop;
pub mod schedule;
pub mod score;
pub mod shared;
pub mod tuning;
pub mod weights;

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
