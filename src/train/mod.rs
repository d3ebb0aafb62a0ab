//! Training and inference: the only module that imports burn.

pub mod cadence;
pub mod checkpoint;
mod choice;
pub mod config;
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
