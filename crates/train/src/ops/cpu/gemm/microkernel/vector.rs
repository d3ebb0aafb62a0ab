//! Vector registers of the innermost loops, one type per instruction set.
//!
//! The compiler vectorises loops over arrays too, but sometimes keeps accumulators in memory; explicit vectors rule
//! that out.

#![expect(unsafe_code, reason = "vector instructions")]

/// A register of f32 lanes.
pub trait Vector: Copy {
    const LANES: usize;
    /// Rows of a tile, two vectors wide, whose accumulators fit into the registers.
    const ROWS: usize;

    /// # Safety
    /// The machine has the instructions, and runs this in a function that is compiled for them.
    unsafe fn splat(value: f32) -> Self;

    /// # Safety
    /// Same contract as [`Vector::splat`]; `LANES` elements are readable.
    unsafe fn load(from: *const f32) -> Self;

    /// # Safety
    /// Same contract as [`Vector::splat`]; `LANES` elements are writable.
    unsafe fn store(self, to: *mut f32);

    /// `self * factor + term`, rounded once.
    ///
    /// # Safety
    /// Same contract as [`Vector::splat`].
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self;

    /// # Safety
    /// Same contract as [`Vector::splat`].
    unsafe fn mul(self, factor: Self) -> Self;

    /// Adds the product of one inner index to a sum.
    ///
    /// # Safety
    /// Same contract as [`Vector::splat`].
    #[inline(always)]
    unsafe fn add_product(self, factor: Self, sum: Self) -> Self {
        // SAFETY: the caller's promise.
        unsafe { self.mul_add(factor, sum) }
    }

    /// Writes 4 columns of `LANES` rows as 4 rows of `LANES` columns.
    ///
    /// # Safety
    /// Same contract as [`Vector::splat`]; `from` must hold `LANES` rows of 4 elements, `row` apart, and `to` must have
    /// space for 4 rows, `to_row` apart.
    unsafe fn transpose(from: *const f32, row: usize, to: *mut f32, to_row: usize);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Vector;

    #[derive(Clone, Copy)]
    pub struct Avx512(pub(in crate::ops::cpu::gemm) __m512);

    #[derive(Clone, Copy)]
    pub struct Avx2(__m256);

    impl Vector for Avx512 {
        const LANES: usize = 16;
        const ROWS: usize = 12;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: the caller's promise.
            Avx512(unsafe { _mm512_set1_ps(value) })
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller's promise.
            Avx512(unsafe { _mm512_loadu_ps(from) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller's promise.
            unsafe { _mm512_storeu_ps(to, self.0) }
        }

        #[inline(always)]
        unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
            // SAFETY: the caller's promise.
            Avx512(unsafe { _mm512_fmadd_ps(self.0, factor.0, term.0) })
        }

        #[inline(always)]
        unsafe fn mul(self, factor: Self) -> Self {
            // SAFETY: the caller's promise.
            Avx512(unsafe { _mm512_mul_ps(self.0, factor.0) })
        }

        /// Rows `i`, `i + 4`, `i + 8` and `i + 12` share a register, so only the cheap steps within 128-bit quarters
        /// remain.
        #[inline(always)]
        unsafe fn transpose(from: *const f32, row: usize, to: *mut f32, to_row: usize) {
            // SAFETY: the caller's promise: rows 0 to 15 at `from`, rows 0 to 3 at `to`.
            unsafe {
                let (a, b) = (four_rows(from, row), four_rows(from.add(row), row));
                let (c, d) = (four_rows(from.add(2 * row), row), four_rows(from.add(3 * row), row));
                let ab = _mm512_castps_pd(_mm512_unpacklo_ps(a, b));
                let cd = _mm512_castps_pd(_mm512_unpacklo_ps(c, d));
                _mm512_storeu_pd(to.cast(), _mm512_unpacklo_pd(ab, cd));
                _mm512_storeu_pd(to.add(to_row).cast(), _mm512_unpackhi_pd(ab, cd));
                let ab = _mm512_castps_pd(_mm512_unpackhi_ps(a, b));
                let cd = _mm512_castps_pd(_mm512_unpackhi_ps(c, d));
                _mm512_storeu_pd(to.add(2 * to_row).cast(), _mm512_unpacklo_pd(ab, cd));
                _mm512_storeu_pd(to.add(3 * to_row).cast(), _mm512_unpackhi_pd(ab, cd));
            }
        }
    }

    /// Loads four elements of every fourth row. Not a closure: that would be compiled without the caller's
    /// instructions.
    ///
    /// # Safety
    /// Same contract as [`Vector::transpose`], for 13 rows.
    #[inline(always)]
    unsafe fn four_rows(from: *const f32, row: usize) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe {
            let rows = _mm512_castps128_ps512(_mm_loadu_ps(from));
            let rows = _mm512_insertf32x4::<1>(rows, _mm_loadu_ps(from.add(4 * row)));
            let rows = _mm512_insertf32x4::<2>(rows, _mm_loadu_ps(from.add(8 * row)));
            _mm512_insertf32x4::<3>(rows, _mm_loadu_ps(from.add(12 * row)))
        }
    }

    /// Like [`four_rows`], for two rows.
    ///
    /// # Safety
    /// Same contract as [`Vector::transpose`], for 5 rows.
    #[inline(always)]
    unsafe fn two_rows(from: *const f32, row: usize) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe { _mm256_set_m128(_mm_loadu_ps(from.add(4 * row)), _mm_loadu_ps(from)) }
    }

    impl Vector for Avx2 {
        const LANES: usize = 8;
        const ROWS: usize = 6;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: the caller's promise.
            Avx2(unsafe { _mm256_set1_ps(value) })
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller's promise.
            Avx2(unsafe { _mm256_loadu_ps(from) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller's promise.
            unsafe { _mm256_storeu_ps(to, self.0) }
        }

        #[inline(always)]
        unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
            // SAFETY: the caller's promise.
            Avx2(unsafe { _mm256_fmadd_ps(self.0, factor.0, term.0) })
        }

        #[inline(always)]
        unsafe fn mul(self, factor: Self) -> Self {
            // SAFETY: the caller's promise.
            Avx2(unsafe { _mm256_mul_ps(self.0, factor.0) })
        }

        #[inline(always)]
        unsafe fn transpose(from: *const f32, row: usize, to: *mut f32, to_row: usize) {
            // SAFETY: the caller's promise: rows 0 to 7 at `from`, rows 0 to 3 at `to`.
            unsafe {
                let (a, b) = (two_rows(from, row), two_rows(from.add(row), row));
                let (c, d) = (two_rows(from.add(2 * row), row), two_rows(from.add(3 * row), row));
                let ab = _mm256_castps_pd(_mm256_unpacklo_ps(a, b));
                let cd = _mm256_castps_pd(_mm256_unpacklo_ps(c, d));
                _mm256_storeu_pd(to.cast(), _mm256_unpacklo_pd(ab, cd));
                _mm256_storeu_pd(to.add(to_row).cast(), _mm256_unpackhi_pd(ab, cd));
                let ab = _mm256_castps_pd(_mm256_unpackhi_ps(a, b));
                let cd = _mm256_castps_pd(_mm256_unpackhi_ps(c, d));
                _mm256_storeu_pd(to.add(2 * to_row).cast(), _mm256_unpacklo_pd(ab, cd));
                _mm256_storeu_pd(to.add(3 * to_row).cast(), _mm256_unpackhi_pd(ab, cd));
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

/// Four lanes in an array: NEON on aarch64, portable code elsewhere.
#[derive(Clone, Copy)]
pub struct Base([f32; 4]);

impl Vector for Base {
    const LANES: usize = 4;
    const ROWS: usize = 12;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Base([value; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Base(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
        Base(std::array::from_fn(|lane| self.0[lane].mul_add(factor.0[lane], term.0[lane])))
    }

    #[inline(always)]
    unsafe fn mul(self, factor: Self) -> Self {
        Base(std::array::from_fn(|lane| self.0[lane] * factor.0[lane]))
    }

    #[inline(always)]
    unsafe fn transpose(from: *const f32, row: usize, to: *mut f32, to_row: usize) {
        // SAFETY: the caller's promise.
        let rows: [[f32; 4]; 4] =
            std::array::from_fn(|i| unsafe { from.add(i * row).cast::<[f32; 4]>().read_unaligned() });
        for j in 0..4 {
            // SAFETY: the caller's promise.
            unsafe { Base(rows.map(|row| row[j])).store(to.add(j * to_row)) }
        }
    }
}
