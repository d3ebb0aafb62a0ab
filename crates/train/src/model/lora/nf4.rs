//! Four-bit weights as in QLoRA (Dettmers et al. 2023): 16 levels between -1 and 1 times the largest value of each block of
//! 64, where those largest values have eight bits themselves (double quantization).
//!
//! Codes are those of bitsandbytes 0.50 on the CPU, and values up to the last bit of the mean of the scales, which PyTorch sums in
//! f32 in an order of its own.

use std::sync::LazyLock;

/// Values of a block that share a scale.
const BLOCK: usize = 64;
/// Scales of a block that share a scale.
const SCALE_BLOCK: usize = 256;

/// Quantiles of a normal distribution between -1 and 1, one of them 0 (Dettmers et al. 2023, appendix E).
pub const LEVELS: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// A tensor in four bits.
#[derive(Clone, PartialEq, Debug)]
pub struct Nf4 {
    /// Two codes in a byte, the first one in its upper half.
    pub codes: Vec<u8>,
    /// Code of each block's largest value.
    pub scales: Vec<u8>,
    /// Mean of the largest values, which they are measured from.
    pub offset: f32,
    /// Largest value of each block of scales.
    pub scales_of_scales: Vec<f32>,
    length: usize,
}

/// The 256 levels of the scales: a sign, a decimal exponent and a fraction in eight bits (Dettmers et al. 2022).
pub static SCALE_LEVELS: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let mut levels = vec![0.0, 1.0];
    for exponent in 0..7 {
        let items = 1usize << exponent;
        let step = 0.9f32 / items as f32;
        // PyTorch's `linspace` counts from the nearer end and rounds once.
        let edge = |at: usize| {
            let steps = |count: usize| f64::from(step) * count as f64;
            let edge = if at < items.div_ceil(2) { f64::from(0.1f32) + steps(at) } else { 1.0 - steps(items - at) };
            edge as f32
        };
        let power = 10f64.powi(exponent - 6) as f32;
        for at in 0..items {
            let mean = (edge(at) + edge(at + 1)) / 2.0;
            levels.extend([power * mean, -(power * mean)]);
        }
    }
    levels.sort_by(f32::total_cmp);
    levels
});

/// Index of the nearest level; the lower one of two that are equally near.
fn nearest(levels: &[f32], value: f32) -> u8 {
    let (mut low, mut high) = (0, levels.len() - 1);
    while low < high {
        let middle = (low + high) / 2;
        let bound = (levels[middle] + levels[middle + 1]) / 2.0;
        if value <= bound { high = middle } else { low = middle + 1 }
    }
    low as u8
}

/// Largest absolute value, and the values divided by it. `whole` blocks are multiplied by its inverse.
fn scaled(values: &[f32], block: usize) -> (f32, impl Iterator<Item = f32> + '_) {
    let most = values.iter().fold(0f32, |most, value| most.max(value.abs()));
    let is_whole = values.len() == block;
    let most_or_least = most.max(1e-38);
    let inverse = 1.0 / most_or_least;
    let scale = move |value: &f32| {
        let scaled = if is_whole { value * inverse } else { value / most_or_least };
        scaled.clamp(-1.0, 1.0)
    };
    (if is_whole { most } else { most_or_least }, values.iter().map(scale))
}

impl Nf4 {
    /// Rounds values, row by row.
    pub fn of(values: &[f32]) -> Nf4 {
        let mut codes = Vec::with_capacity(values.len() + 1);
        let mut largest = Vec::with_capacity(values.len().div_ceil(BLOCK));
        for block in values.chunks(BLOCK) {
            let (most, scaled) = scaled(block, BLOCK);
            largest.push(most);
            codes.extend(scaled.map(|value| nearest(&LEVELS, value)));
        }
        if !codes.len().is_multiple_of(2) {
            codes.push(nearest(&LEVELS, 0.0));
        }
        let codes = codes.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        let mean = largest.iter().map(|most| f64::from(*most)).sum::<f64>() / largest.len().max(1) as f64;
        let offset = mean as f32;
        let moved: Vec<f32> = largest.iter().map(|most| most - offset).collect();
        let (mut scales, mut scales_of_scales) = (Vec::with_capacity(moved.len()), Vec::new());
        for block in moved.chunks(SCALE_BLOCK) {
            let (most, scaled) = scaled(block, SCALE_BLOCK);
            scales_of_scales.push(most);
            scales.extend(scaled.map(|value| nearest(&SCALE_LEVELS, value)));
        }
        Nf4 { codes, scales, offset, scales_of_scales, length: values.len() }
    }

    /// The values that the codes stand for.
    pub fn values(&self) -> Vec<f32> {
        let scale = |block: usize| {
            SCALE_LEVELS[self.scales[block] as usize] * self.scales_of_scales[block / SCALE_BLOCK] + self.offset
        };
        let value = |at: usize| {
            let pair = self.codes[at / 2];
            let code = if at.is_multiple_of(2) { pair >> 4 } else { pair & 15 };
            LEVELS[code as usize] * scale(at / BLOCK)
        };
        (0..self.length).map(value).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use safetensors::SafeTensors;

    use super::*;

    /// `scripts/golden/make_nf4.py` says how the file was made.
    #[test]
    fn codes_and_values_are_those_of_bitsandbytes() {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden/nf4.safetensors");
        let bytes = std::fs::read(path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let words = |name: &str| -> Vec<[u8; 4]> { file.tensor(name).unwrap().data().as_chunks().0.to_vec() };
        let floats = |name: &str| words(name).into_iter().map(f32::from_le_bytes).collect::<Vec<f32>>();
        let codes = |name: &str| words(name).into_iter().map(|word| word[0]).collect::<Vec<u8>>();
        assert_eq!(floats("levels"), LEVELS);
        assert_eq!(floats("levels_of_absmax"), *SCALE_LEVELS);
        for case in ["plain", "scaled"] {
            let found = Nf4::of(&floats(&format!("{case}.weight")));
            assert_eq!(found.codes, codes(&format!("{case}.codes")), "{case}");
            assert_eq!(found.scales, codes(&format!("{case}.absmax")), "{case}");
            let last_bit = 2.0 * f32::EPSILON * found.offset;
            for (value, expected) in found.values().iter().zip(floats(&format!("{case}.values"))) {
                assert!(
                    (value - expected).abs() <= last_bit + 1e-6 * expected.abs(),
                    "{case}: {value} is not {expected}"
                );
            }
        }
    }
}
