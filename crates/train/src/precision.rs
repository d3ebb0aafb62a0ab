//! The number format of matrix products.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Number format to which the operands of matrix products are rounded. Everything else is always f32: weights,
/// optimizer state, sums, norms, softmax and loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 24 bits of precision: the operands are not rounded.
    #[default]
    F32,
    /// 8 bits of precision and the range of f32.
    Bf16,
}

/// Text that names no precision.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a precision")]
pub struct UnknownPrecision(String);

impl Precision {
    pub const NAMES: [&str; 2] = ["f32", "bf16"];

    /// True for f32, which files omit: files of f32 runs are the same as before other precisions existed.
    pub fn is_default(&self) -> bool {
        *self == Precision::default()
    }
}

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "f32" => Ok(Precision::F32),
            "bf16" => Ok(Precision::Bf16),
            _ => Err(UnknownPrecision(text.to_owned())),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        })
    }
}
/// True for a positive number that f32 holds in full precision, as weights and their updates are f32.
pub fn is_positive_f32(value: f64) -> bool {
    value > 0.0 && (value as f32).is_normal()
}

/// True for 1, which files omit where it is a default.
pub fn is_one(value: &f64) -> bool {
    *value == 1.0
}
