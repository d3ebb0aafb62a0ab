//! Dropout with the CPU's masks, SplitMix64 in counter mode. 64-bit numbers are split into halves, which every device
//! supports.

use cubecl::prelude::*;

pub const UNITS: usize = 256;

/// A 64-bit number with wrapping sums and products.
#[derive(CubeLaunch, CubeType, Clone, Copy)]
pub struct Wide {
    pub high: u32,
    pub low: u32,
}

/// Multiplies each element by 0 (dropped) or by `kept`; one unit per element.
#[cube(launch)]
pub fn dropout(x: &Tensor<f32>, output: &mut Tensor<f32>, count: usize, seed: Wide, probability: f32, kept: f32) {
    let at = ABSOLUTE_POS;
    if at < count {
        output[at] = x[at] * select(uniform(seed, at as u32) < probability, 0.0, kept);
    }
}

/// Output `index` of the generator with this seed, in `[0, 1)` and a multiple of `2^-24`.
#[cube]
fn uniform(seed: Wide, index: u32) -> f32 {
    let counter = Wide { high: 0u32, low: index + 1 };
    let z = sum(seed, product(counter, 0x9E37_79B9_7F4A_7C15u64));
    let z = product(xor_shifted(z, 30u32), 0xBF58_476D_1CE4_E5B9u64);
    let z = product(xor_shifted(z, 27u32), 0x94D0_49BB_1331_11EBu64);
    let z = xor_shifted(z, 31u32);
    f32::cast_from(z.high >> 8) * comptime!(1.0 / (1u32 << 24) as f32)
}

#[cube]
fn sum(a: Wide, b: Wide) -> Wide {
    let low = a.low + b.low;
    let carry = select(low < a.low, 1u32, 0u32);
    Wide { high: a.high + b.high + carry, low }
}

#[cube]
fn product(a: Wide, #[comptime] b: u64) -> Wide {
    let high = comptime!((b >> 32) as u32);
    let low = comptime!(b as u32);
    Wide { high: a.low.mul_hi(low) + a.low * high + a.high * low, low: a.low * low }
}

/// `a ^ (a >> distance)`, for a distance of 1 to 31.
#[cube]
fn xor_shifted(a: Wide, #[comptime] distance: u32) -> Wide {
    let carried = a.high << comptime!(32 - distance);
    Wide { high: a.high ^ (a.high >> distance), low: a.low ^ ((a.low >> distance) | carried) }
}
