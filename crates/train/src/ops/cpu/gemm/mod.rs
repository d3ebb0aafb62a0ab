//! Matrix products in f32, or of operands rounded to bf16 with sums in f32: packed operands, tiles that stay in
//! registers, all threads.

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "registers that the compiler does not know")]
mod amx;
mod bf16;
#[expect(unsafe_code, reason = "writes a part of a matrix")]
mod form;
mod matmul;
mod operand;
#[expect(unsafe_code, reason = "transposes with vector instructions")]
mod pack;
#[expect(unsafe_code, reason = "vector instructions")]
mod pair_products;
#[expect(unsafe_code, reason = "tasks write different parts of the output")]
mod parallel;
#[expect(unsafe_code, reason = "tasks write different parts of the output")]
mod parallel_packed;
#[expect(unsafe_code, reason = "writes a part of a matrix")]
mod product;
#[expect(unsafe_code, reason = "threads write different parts of one matrix")]
mod target;
#[expect(unsafe_code, reason = "writes a part of a matrix")]
mod tile;
#[expect(unsafe_code, reason = "vector instructions")]
mod vector;
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
#[expect(unsafe_code, reason = "calls the tile directly")]
mod tests;
