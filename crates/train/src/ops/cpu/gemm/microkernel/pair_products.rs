//! Products of bf16 pairs with the AVX512-BF16 instruction.

#![expect(unsafe_code, reason = "vector instructions")]

use std::sync::OnceLock;

use super::tile::Product;
#[cfg(target_arch = "x86_64")]
use crate::cpu::isa;
#[cfg(target_arch = "x86_64")]
use crate::cpu::isa::Set;
use crate::cpu::simd::Instructions;

#[cfg(test)]
#[cfg(target_arch = "x86_64")]
pub use self::x86::are_measured_faster;

/// True if products of pairs are the fastest bf16 products: the user requests them, or the processor has them and they
/// measure faster than multiply-adds. That varies: on Emerald Rapids a pair takes four times as long as a multiply-add,
/// so two multiply-adds are faster.
pub fn are_fast() -> bool {
    static FAST: OnceLock<bool> = OnceLock::new();
    *FAST.get_or_init(|| match Instructions::best().set() {
        #[cfg(target_arch = "x86_64")]
        Set::Avx512Bf16 => matches!(isa::requested(), Ok(Some(Set::Avx512Bf16))) || x86::are_measured_faster(),
        _ => false,
    })
}

/// Computes a product of pairs.
///
/// # Panics
/// If the machine lacks the instruction.
///
/// # Safety
/// Same contract as [`super::tile::multiply`].
pub unsafe fn multiply(product: Product<'_>) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller's promise.
    unsafe {
        x86::multiply(product);
    }
    #[cfg(not(target_arch = "x86_64"))]
    unreachable!("pairs are chosen where there is the instruction: {} rows", product.left.rows());
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{__m512, __m512bh, _mm512_dpbf16_ps};
    use std::mem::transmute;
    use std::time::{Duration, Instant};

    use crate::cpu::simd::Instructions;
    use crate::ops::cpu::gemm::Target;
    use crate::ops::cpu::gemm::microkernel::tile::{self, Product, Tiles};
    use crate::ops::cpu::gemm::microkernel::vector::{Avx512, Vector};
    use crate::ops::cpu::gemm::operand::{Left, Right, TILE_COLUMNS, TILE_ROWS};

    /// Inner indices of the measured products; the pair instruction covers twice as many.
    const DEPTH: usize = 192;
    const TRIALS: usize = 9;
    /// Required speed-up of pairs: a margin for noise.
    const MARGIN: f64 = 1.2;

    /// Measures if a pair takes clearly less time than two multiply-adds.
    pub fn are_measured_faster() -> bool {
        let (left, right) = ([0.0; TILE_ROWS * DEPTH], [0.0; TILE_COLUMNS * DEPTH]);
        let mut out = [0.0; TILE_ROWS * TILE_COLUMNS];
        let mut time = |pairs: bool| {
            let product = Product {
                target: Target::new(&mut out, TILE_COLUMNS),
                onto: None,
                left: Left::packed(&left, TILE_ROWS, DEPTH),
                right: Right::packed(&right, TILE_COLUMNS, DEPTH),
                scale: 1.0,
            };
            let once = || {
                let started = Instant::now();
                // SAFETY: `out` has exactly the elements of the product and is borrowed exclusively.
                unsafe { if pairs { multiply(product) } else { tile::multiply(Instructions::best(), product) } }
                started.elapsed()
            };
            (0..TRIALS).map(|_| once()).min().unwrap_or(Duration::MAX)
        };
        let (pairs, singles) = (time(true), time(false));
        2.0 * singles.as_secs_f64() > MARGIN * pairs.as_secs_f64()
    }

    pub unsafe fn multiply(product: Product<'_>) {
        assert_eq!(product.left.inner(), product.right.inner(), "inner indices");
        Instructions::best().run_with_pairs(Tiles::<Pairs>::of(product));
    }

    /// Pairs of bf16 on both sides; sums in f32.
    #[derive(Clone, Copy)]
    struct Pairs(Avx512);

    impl Vector for Pairs {
        const LANES: usize = Avx512::LANES;
        const ROWS: usize = Avx512::ROWS;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: the caller's promise.
            Pairs(unsafe { Avx512::splat(value) })
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller's promise.
            Pairs(unsafe { Avx512::load(from) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller's promise.
            unsafe { self.0.store(to) }
        }

        #[inline(always)]
        unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
            // SAFETY: the caller's promise.
            Pairs(unsafe { self.0.mul_add(factor.0, term.0) })
        }

        #[inline(always)]
        unsafe fn mul(self, factor: Self) -> Self {
            // SAFETY: the caller's promise.
            Pairs(unsafe { self.0.mul(factor.0) })
        }

        #[inline(always)]
        unsafe fn add_product(self, factor: Self, sum: Self) -> Self {
            // SAFETY: the caller's promise; every pattern of 512 bits is valid for both types.
            unsafe {
                let left = transmute::<__m512, __m512bh>(self.0.0);
                let right = transmute::<__m512, __m512bh>(factor.0.0);
                Pairs(Avx512(_mm512_dpbf16_ps(sum.0.0, left, right)))
            }
        }

        #[inline(always)]
        unsafe fn transpose(from: *const f32, row: usize, to: *mut f32, to_row: usize) {
            // SAFETY: the caller's promise.
            unsafe { Avx512::transpose(from, row, to, to_row) }
        }
    }
}
