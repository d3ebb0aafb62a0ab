//! The only place that imports burn.

pub mod config;
pub mod device;
pub mod model;
pub mod ops;
pub mod weights;
