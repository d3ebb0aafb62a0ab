//! Number formats and compilers that can be measured.

use std::fmt;
use std::str::FromStr;

use stepwell_train::precision::Precision;

/// Number format and compiler of a contestant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// f32 throughout.
    F32,
    /// f32 with `torch.compile`.
    F32Compile,
    /// Products in bf16, weights in f32 (`torch.autocast`).
    Bf16,
    /// [`Mode::Bf16`] with `torch.compile`.
    Bf16Compile,
}

/// Text that names no mode.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a mode")]
pub struct UnknownMode(String);

impl Mode {
    pub const ALL: [Mode; 4] = [Mode::F32, Mode::F32Compile, Mode::Bf16, Mode::Bf16Compile];
    /// Names of the modes, in the order of [`Mode::ALL`].
    pub const NAMES: [&str; 4] = ["f32", "f32-compile", "bf16", "bf16-compile"];

    /// Mode of our contestant, which compiles nothing.
    pub fn of(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Mode::F32,
            Precision::Bf16 => Mode::Bf16,
        }
    }

    /// Number format of the matrix products.
    pub fn dtype(self) -> &'static str {
        match self {
            Mode::F32 | Mode::F32Compile => "f32",
            Mode::Bf16 | Mode::Bf16Compile => "bf16",
        }
    }
}

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Mode::NAMES.iter().position(|name| *name == text).map(|i| Mode::ALL[i]);
        found.ok_or_else(|| UnknownMode(text.to_owned()))
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Mode::ALL.iter().position(|mode| mode == self).map_or("", |i| Mode::NAMES[i]);
        f.write_str(name)
    }
}
