//! Libraries for comparison.

use std::str::FromStr;

use stepwell_inference::Dtype;

/// A Python library that computes the same model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Library {
    /// Weights in f32, prompts of one batch at a time.
    Transformers,
    /// Weights in q8_0; the bindings decode one sequence at a time.
    LlamaCpp,
}

/// Text that names no library.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no library that `bench infer` knows")]
pub struct UnknownLibrary(String);

impl Library {
    pub const ALL: [Library; 2] = [Library::Transformers, Library::LlamaCpp];
    /// Names in the order of [`Library::ALL`]: the options of `--against`, and modes of `scripts/bench_infer.py`.
    pub const NAMES: [&str; 2] = ["transformers", "llama-cpp"];

    pub fn name(self) -> &'static str {
        match self {
            Library::Transformers => "transformers",
            Library::LlamaCpp => "llama-cpp",
        }
    }

    /// The form of its weights.
    pub fn dtype(self) -> Dtype {
        match self {
            Library::Transformers => Dtype::F32,
            Library::LlamaCpp => Dtype::Q8_0,
        }
    }

    /// Most prompts that it decodes together.
    pub fn most_rows(self) -> usize {
        match self {
            Library::Transformers => usize::MAX,
            Library::LlamaCpp => 1,
        }
    }
}

impl FromStr for Library {
    type Err = UnknownLibrary;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Library::ALL.into_iter().find(|library| library.name() == text);
        found.ok_or_else(|| UnknownLibrary(text.to_owned()))
    }
}
