//! The innermost loops: one tile of the output, in the registers of one core.

#[cfg(target_arch = "x86_64")]
pub mod amx;
pub mod pair_products;
pub mod tile;
pub mod vector;
