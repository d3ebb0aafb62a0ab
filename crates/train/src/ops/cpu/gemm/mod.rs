//! Matrix products in f32, or of operands rounded to bf16 with sums in f32: packed operands, tiles that stay in
//! registers, all threads.

mod bf16;
mod form;
mod matmul;
mod microkernel;
mod operand;
mod pack;
mod parallel;
mod parallel_packed;
mod product;
mod target;
mod view;

pub use form::Form;
pub use matmul::{matmul, matmul_add, matmul_onto};
pub use operand::{Right, TILE_COLUMNS};
pub use pack::{Packed, aligned};
pub use parallel_packed::parallel_packed_product;
pub use product::{packed_product, packed_product_into, product};
pub use target::{Output, Target};
pub use view::View;

#[cfg(test)]
mod bf16_tests;
#[cfg(test)]
mod tests;
