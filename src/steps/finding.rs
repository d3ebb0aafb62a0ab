//! Findings about a step on this machine before it runs.

/// A finding and its hint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    pub weight: Weight,
    pub message: String,
    pub hint: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weight {
    /// The step fails in any case.
    Impossible,
    /// The step fails unless an earlier step creates the missing file.
    Missing,
    /// A relevant change stays unnoticed.
    Unnoticed,
}
