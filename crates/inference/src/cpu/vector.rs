//! Vector registers of the innermost loops, one type per instruction set.
//!
//! The compiler vectorises loops over arrays too, but sometimes keeps accumulators in memory; explicit vectors rule
//! that out.

#![expect(unsafe_code, reason = "vector instructions")]

/// A register of f32 lanes, and one of as many i32 lanes.
pub trait Vector: Copy {
    /// Integers of the same width.
    type Ints: Copy;

    const LANES: usize;
    /// Rows of a tile, two vectors wide, whose accumulators fit into the registers.
    const ROWS: usize;
    /// The same for tiles that have integer accumulators besides.
    const BYTE_ROWS: usize;

    /// # Safety
    /// The machine has the instructions, and runs this in a function that is compiled for them.
    unsafe fn splat(value: f32) -> Self;

    /// # Safety
    /// Same contract as [`Vector::splat`]; `LANES` elements are readable.
    unsafe fn load(from: *const f32) -> Self;

    /// Loads two vectors of bf16: the lower halves of `LANES` words of 32 bits, and the upper ones.
    ///
    /// # Safety
    /// Same contract as [`Vector::splat`]; `LANES` words are readable.
    unsafe fn load_bf16(from: *const u32) -> [Self; 2];

    /// # Safety
    /// Same contract as [`Vector::splat`]; `LANES` numbers of 16 bits are readable.
    unsafe fn load_f16(from: *const u16) -> Self;

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

    /// # Safety
    /// Same contract as [`Vector::splat`].
    unsafe fn from_ints(ints: Self::Ints) -> Self;

    /// # Safety
    /// Same contract as [`Vector::splat`].
    unsafe fn splat_int(value: i32) -> Self::Ints;

    /// # Safety
    /// Same contract as [`Vector::splat`]; `4 * LANES` bytes are readable.
    unsafe fn load_bytes(from: *const u8) -> Self::Ints;
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Vector;

    #[derive(Clone, Copy)]
    pub struct Avx512(__m512);

    #[derive(Clone, Copy)]
    pub struct Avx2(__m256);

    impl Vector for Avx512 {
        type Ints = __m512i;

        const LANES: usize = 16;
        const ROWS: usize = 12;
        const BYTE_ROWS: usize = 6;

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
        unsafe fn load_bf16(from: *const u32) -> [Self; 2] {
            // SAFETY: the caller's promise.
            unsafe {
                let words = _mm512_loadu_si512(from.cast());
                let upper = _mm512_and_si512(words, _mm512_set1_epi32(0xFFFF_0000_u32.cast_signed()));
                let lower = _mm512_slli_epi32::<16>(words);
                [Avx512(_mm512_castsi512_ps(lower)), Avx512(_mm512_castsi512_ps(upper))]
            }
        }

        #[inline(always)]
        unsafe fn load_f16(from: *const u16) -> Self {
            // SAFETY: the caller's promise.
            Avx512(unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) })
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

        #[inline(always)]
        unsafe fn from_ints(ints: __m512i) -> Self {
            // SAFETY: the caller's promise.
            Avx512(unsafe { _mm512_cvtepi32_ps(ints) })
        }

        #[inline(always)]
        unsafe fn splat_int(value: i32) -> __m512i {
            // SAFETY: the caller's promise.
            unsafe { _mm512_set1_epi32(value) }
        }

        #[inline(always)]
        unsafe fn load_bytes(from: *const u8) -> __m512i {
            // SAFETY: the caller's promise.
            unsafe { _mm512_loadu_si512(from.cast()) }
        }
    }

    impl Vector for Avx2 {
        type Ints = __m256i;

        const LANES: usize = 8;
        const ROWS: usize = 6;
        const BYTE_ROWS: usize = 2;

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
        unsafe fn load_bf16(from: *const u32) -> [Self; 2] {
            // SAFETY: the caller's promise.
            unsafe {
                let words = _mm256_loadu_si256(from.cast());
                let upper = _mm256_and_si256(words, _mm256_set1_epi32(0xFFFF_0000_u32.cast_signed()));
                let lower = _mm256_slli_epi32::<16>(words);
                [Avx2(_mm256_castsi256_ps(lower)), Avx2(_mm256_castsi256_ps(upper))]
            }
        }

        #[inline(always)]
        unsafe fn load_f16(from: *const u16) -> Self {
            // SAFETY: the caller's promise.
            Avx2(unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) })
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
        unsafe fn from_ints(ints: __m256i) -> Self {
            // SAFETY: the caller's promise.
            Avx2(unsafe { _mm256_cvtepi32_ps(ints) })
        }

        #[inline(always)]
        unsafe fn splat_int(value: i32) -> __m256i {
            // SAFETY: the caller's promise.
            unsafe { _mm256_set1_epi32(value) }
        }

        #[inline(always)]
        unsafe fn load_bytes(from: *const u8) -> __m256i {
            // SAFETY: the caller's promise.
            unsafe { _mm256_loadu_si256(from.cast()) }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

/// Four lanes in an array: NEON on aarch64, portable code elsewhere.
#[derive(Clone, Copy)]
pub struct Base([f32; 4]);

impl Vector for Base {
    type Ints = [i32; 4];

    const LANES: usize = 4;
    const ROWS: usize = 12;
    const BYTE_ROWS: usize = 4;

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
    unsafe fn load_bf16(from: *const u32) -> [Self; 2] {
        // SAFETY: the caller's promise.
        let words = unsafe { from.cast::<[u32; 4]>().read_unaligned() };
        [Base(words.map(|word| f32::from_bits(word << 16))), Base(words.map(|word| f32::from_bits(word & 0xFFFF_0000)))]
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> Self {
        // SAFETY: the caller's promise.
        let words = unsafe { from.cast::<[u16; 4]>().read_unaligned() };
        Base(words.map(|word| half::f16::from_bits(word).to_f32()))
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
    unsafe fn from_ints(ints: [i32; 4]) -> Self {
        Base(ints.map(|int| int as f32))
    }

    #[inline(always)]
    unsafe fn splat_int(value: i32) -> [i32; 4] {
        [value; 4]
    }

    #[inline(always)]
    unsafe fn load_bytes(from: *const u8) -> [i32; 4] {
        // SAFETY: the caller's promise.
        unsafe { from.cast::<[i32; 4]>().read_unaligned() }
    }
}
