//! Run-time choice of vector instructions for element-wise kernels.
//!
//! A kernel is plain Rust that the compiler vectorises; [`dispatch`] runs a copy compiled for the best instruction set
//! of this machine. Rust never reorders floating-point operations and `mul_add` always rounds once, so all copies give
//! the same bits.

use std::sync::OnceLock;

use super::isa::{self, Set, detected};

/// Accumulators of a reduction: as many as the widest vector holds, on every machine, so that bits agree.
pub const LANES: usize = 16;

/// A computation compiled once per instruction set. `run` must be `#[inline(always)]`.
pub trait Kernel {
    type Output;
    fn run(self) -> Self::Output;
}

/// An instruction set of this machine: the processor reports it, or the user vouches for it with `force:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instructions(Set);

impl Instructions {
    /// Returns the set that [`isa::VARIABLE`] requests, else the best one. Ignores an unusable request: opening the
    /// device refuses it.
    pub fn best() -> Self {
        static BEST: OnceLock<Instructions> = OnceLock::new();
        *BEST.get_or_init(|| match isa::requested() {
            Ok(Some(set)) => Instructions(set),
            _ => Instructions(detected().next().unwrap_or(Set::Base)),
        })
    }

    /// All sets of this machine, best first.
    #[cfg(test)]
    pub fn all() -> Vec<Self> {
        detected().map(Instructions).collect()
    }

    pub fn set(self) -> Set {
        self.0
    }

    /// Reports whether bf16 products use tile registers, which add in their own order.
    pub fn has_tiles(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self.0 == Set::Amx;
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Runs a kernel compiled for products of bf16 pairs.
    ///
    /// # Panics
    /// If these instructions lack such products.
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "calls a function compiled for instructions that were detected")]
    #[inline]
    pub fn run_with_pairs<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        fn pairs<K: Kernel>(kernel: K) -> K::Output {
            kernel.run()
        }
        assert!(matches!(self.0, Set::Avx512Bf16 | Set::Amx), "products of pairs");
        // SAFETY: `best` and `all` construct the value from a set whose features `detected` found. The exception is a
        // forced set: `STEPWELL_ISA=force:...` asserts that the processor has these features.
        unsafe { pairs(kernel) }
    }

    /// Runs a kernel compiled for these instructions.
    #[cfg_attr(
        target_arch = "x86_64",
        expect(unsafe_code, reason = "calls functions compiled for instructions that were detected")
    )]
    #[inline]
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        fn avx512<K: Kernel>(kernel: K) -> K::Output {
            kernel.run()
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        fn avx2<K: Kernel>(kernel: K) -> K::Output {
            kernel.run()
        }
        match self.0 {
            // SAFETY: `best` and `all` construct the value from a set for which `detected` found every feature that
            // `avx512` is compiled for. The exception is a forced set: `STEPWELL_ISA=force:...` asserts that the
            // processor has them.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 | Set::Avx512Bf16 | Set::Amx => unsafe { avx512(kernel) },
            // SAFETY: as above, for `avx2`.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { avx2(kernel) },
            Set::Base => kernel.run(),
        }
    }
}

/// Runs a kernel with the best instructions of this machine.
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    Instructions::best().run(kernel)
}

/// Turns a function over slices into a [`Kernel`] and a function that dispatches it.
macro_rules! kernel {
    ($(#[$meta:meta])* $vis:vis fn $name:ident<$life:lifetime>($($arg:ident: $ty:ty),* $(,)?) -> $out:ty $body:block) => {
        $(#[$meta])*
        $vis fn $name<$life>($($arg: $ty),*) -> $out {
            struct Call<$life> {
                $($arg: $ty),*
            }
            impl<$life> $crate::cpu::simd::Kernel for Call<$life> {
                type Output = $out;
                #[inline(always)]
                fn run(self) -> $out {
                    let Call { $($arg),* } = self;
                    $body
                }
            }
            $crate::cpu::simd::dispatch(Call { $($arg),* })
        }
    };
}
pub(crate) use kernel;

/// Prefetches `len` elements into the L1 cache, for reading or writing. Any address is allowed.
#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "a prefetch is an intrinsic"))]
#[inline(always)]
pub fn prefetch(from: *const f32, len: usize) {
    const LINE: usize = 64 / size_of::<f32>();
    for offset in (0..len).step_by(LINE) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch is a hint; it does not access memory architecturally, so any address is allowed.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_ET0 }>(from.wrapping_add(offset).cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (from, offset);
    }
}

/// `e^x` to about one unit in the last place: Cephes' `expf` without its special cases, so that it vectorises. Inputs
/// are clamped to the finite range. NaN stays NaN; otherwise a diverged model would look fine.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Adding this rounds to an integer, held in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let k = shifted - ROUND;
    let r = k.mul_add(2.121_944_4e-4, k.mul_add(-0.693_359_4, x));
    let mut p = 1.987_569_1e-4f32;
    p = p.mul_add(r, 1.398_199_9e-3);
    p = p.mul_add(r, 8.333_452e-3);
    p = p.mul_add(r, 4.166_579_6e-2);
    p = p.mul_add(r, 1.666_666_5e-1);
    p = p.mul_add(r, 0.5);
    let y = (p * r).mul_add(r, r) + 1.0;
    f32::from_bits(y.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// Sum of the lanes, in a fixed order.
#[inline(always)]
pub fn sum_lanes(lanes: [f32; LANES]) -> f32 {
    fold_lanes(lanes, |a, b| a + b)
}

/// Combines each lane with the one half the width away, until one lane is left: four dependent steps instead of
/// fifteen.
#[inline(always)]
pub fn fold_lanes(mut lanes: [f32; LANES], combine: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = combine(lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// Dot product in [`LANES`] interleaved sums. Both slices must have the same length.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (x, y) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] = x[lane].mul_add(y[lane], lanes[lane]);
        }
    }
    for (lane, (x, y)) in a_rest.iter().zip(b_rest).enumerate() {
        lanes[lane] = x.mul_add(*y, lanes[lane]);
    }
    sum_lanes(lanes)
}

#[cfg(test)]
mod tests {
    use super::*;

    kernel! {
        fn exp_all<'a>(values: &'a mut [f32]) -> () {
            for value in values.iter_mut() {
                *value = exp(*value);
            }
        }
    }

    kernel! {
        fn dot_of<'a>(a: &'a [f32], b: &'a [f32]) -> f32 {
            dot(a, b)
        }
    }

    #[test]
    fn the_exponential_is_accurate_over_its_range() {
        let inputs: Vec<f32> = (-86_000..=87_000).step_by(37).map(|x| x as f32 / 1000.0).collect();
        let mut outputs = inputs.clone();
        exp_all(&mut outputs);
        for (x, y) in inputs.iter().zip(&outputs) {
            let relative = f64::from(*y) / f64::from(*x).exp() - 1.0;
            assert!(relative.abs() < 2e-7, "exp({x}) = {y}, off by {relative}");
        }
    }

    #[test]
    fn the_exponential_keeps_nan_and_clamps_the_rest() {
        let mut values = [f32::NAN, f32::NEG_INFINITY, f32::INFINITY];
        exp_all(&mut values);
        assert!(values[0].is_nan());
        assert!(values[1] > 0.0 && values[1] < 1e-37);
        assert!(values[2].is_finite());
    }

    /// Digests from x86-64; every processor must match them.
    #[test]
    fn the_exponential_and_sums_have_these_bits() {
        let digest = |values: &[f32]| {
            let mut hasher = blake3::Hasher::new();
            values.iter().for_each(|value| _ = hasher.update(&value.to_le_bytes()));
            hasher.finalize().to_hex()[..16].to_owned()
        };
        let mut values: Vec<f32> = (-88_000..=89_000).step_by(37).map(|x| x as f32 / 1000.0).collect();
        let sums: Vec<f32> = (0..100).map(|len| dot_of(&values[..len], &values[values.len() - len..])).collect();
        exp_all(&mut values);
        assert_eq!([digest(&values), digest(&sums)], ["f2a829ddc116772a", "a3812311122ab20b"]);
    }

    #[test]
    fn vector_and_scalar_copies_give_the_same_bits() {
        let a: Vec<f32> = (0..77).map(|i| (i as f32 * 0.37).sin()).collect();
        let b: Vec<f32> = (0..77).map(|i| (i as f32 * 1.7).cos()).collect();
        assert_eq!(dot_of(&a, &b).to_bits(), dot(&a, &b).to_bits());
        let mut vectors = a.clone();
        exp_all(&mut vectors);
        let scalars: Vec<f32> = a.iter().map(|x| exp(*x)).collect();
        assert_eq!(vectors, scalars);
    }
}
