//! Forms in which weights are kept.

/// Elements of an inner block that share one scale in [`Dtype::Q8_0`].
pub const BLOCK: usize = 32;

/// Stored form of the weights of projections, of the embedding and of the head. Norms and biases are always f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// 4 bytes per weight.
    F32,
    /// 2 bytes per weight; products and sums are f32.
    Bf16,
    /// 34 bytes per 32 weights, as in GGUF. Activations are rounded to 8 bits too, 32 with one scale.
    Q8_0,
}

impl Dtype {
    /// Name in options and reports.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "f32",
            Dtype::Bf16 => "bf16",
            Dtype::Q8_0 => "q8_0",
        }
    }
}

impl std::str::FromStr for Dtype {
    type Err = UnknownDtype;

    fn from_str(text: &str) -> Result<Self, UnknownDtype> {
        match text {
            "f32" | "float32" => Ok(Dtype::F32),
            "bf16" | "bfloat16" => Ok(Dtype::Bf16),
            "q8_0" => Ok(Dtype::Q8_0),
            _ => Err(UnknownDtype(text.to_owned())),
        }
    }
}

/// A name that is no [`Dtype`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no form of weights; use f32, bf16 or q8_0")]
pub struct UnknownDtype(String);

/// 32 weights of one output: `scale * byte`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Q8Block {
    /// An f16.
    pub scale: u16,
    pub bytes: [i8; BLOCK],
}

impl Q8Block {
    /// Rounds up to 32 weights to the block that represents them best; missing ones are zero.
    pub fn of(weights: &[f32]) -> Self {
        let largest = weights.iter().fold(0.0f32, |largest, weight| largest.max(weight.abs()));
        let scale = largest / 127.0;
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        let mut bytes = [0; BLOCK];
        for (byte, weight) in bytes.iter_mut().zip(weights) {
            *byte = (weight * inverse).round() as i8;
        }
        Q8Block { scale: half::f16::from_f32(scale).to_bits(), bytes }
    }

    /// Rounds a row.
    pub fn round(blocks: &mut [Self], weights: &[f32]) {
        for (block, weights) in blocks.iter_mut().zip(weights.chunks(BLOCK)) {
            *block = Q8Block::of(weights);
        }
    }
}
