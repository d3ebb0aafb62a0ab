//! Sums of products of bytes. Integers are exact, so every way of summing them gives the same bits.

#![expect(unsafe_code, reason = "vector instructions")]

use super::vector::{Base, Vector};

/// A way to multiply bytes with registers of `V`.
pub trait Dot<V: Vector> {
    /// Adds to each lane of `sums` the four products of the unsigned bytes in that lane of `weights` and the signed
    /// bytes of `four`.
    ///
    /// # Safety
    /// The machine has the instructions, and runs this in a function that is compiled for them.
    unsafe fn add(sums: V::Ints, weights: V::Ints, four: i32) -> V::Ints;
}

/// Lane by lane, without special instructions.
pub struct Plain;

impl Dot<Base> for Plain {
    #[inline(always)]
    unsafe fn add(sums: [i32; 4], weights: [i32; 4], four: i32) -> [i32; 4] {
        let four = four.to_le_bytes().map(|byte| i32::from(byte.cast_signed()));
        std::array::from_fn(|lane| {
            let bytes = weights[lane].to_le_bytes().map(i32::from);
            sums[lane] + bytes[0] * four[0] + bytes[1] * four[1] + bytes[2] * four[2] + bytes[3] * four[3]
        })
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Bytes512, Words256, Words512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Dot;
    use crate::cpu::vector::{Avx2, Avx512};

    /// One instruction for 64 products.
    pub struct Bytes512;

    /// Bytes widened to words, 32 products at a time.
    pub struct Words512;

    /// [`Words512`] with half the width.
    pub struct Words256;

    impl Dot<Avx512> for Bytes512 {
        #[inline(always)]
        unsafe fn add(sums: __m512i, weights: __m512i, four: i32) -> __m512i {
            // SAFETY: the caller's promise.
            unsafe { _mm512_dpbusd_epi32(sums, weights, _mm512_set1_epi32(four)) }
        }
    }

    impl Dot<Avx512> for Words512 {
        /// Multiplies the even bytes and the odd ones: a product of an unsigned and a signed byte does not fit the
        /// 16 bits of the instruction that would take them as they are.
        #[inline(always)]
        unsafe fn add(sums: __m512i, weights: __m512i, four: i32) -> __m512i {
            // SAFETY: the caller's promise.
            unsafe {
                let four = _mm512_set1_epi32(four);
                let even = _mm512_madd_epi16(
                    _mm512_and_si512(weights, _mm512_set1_epi16(0xFF)),
                    _mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(four)),
                );
                let odd = _mm512_madd_epi16(_mm512_srli_epi16::<8>(weights), _mm512_srai_epi16::<8>(four));
                _mm512_add_epi32(sums, _mm512_add_epi32(even, odd))
            }
        }
    }

    impl Dot<Avx2> for Words256 {
        #[inline(always)]
        unsafe fn add(sums: __m256i, weights: __m256i, four: i32) -> __m256i {
            // SAFETY: the caller's promise.
            unsafe {
                let four = _mm256_set1_epi32(four);
                let even = _mm256_madd_epi16(
                    _mm256_and_si256(weights, _mm256_set1_epi16(0xFF)),
                    _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(four)),
                );
                let odd = _mm256_madd_epi16(_mm256_srli_epi16::<8>(weights), _mm256_srai_epi16::<8>(four));
                _mm256_add_epi32(sums, _mm256_add_epi32(even, odd))
            }
        }
    }
}
