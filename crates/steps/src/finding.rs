//! Findings about a step on this machine before it runs.

/// A problem with a step, and a hint for solving it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    pub weight: Weight,
    /// The argument that it is about, such as `cwd` or `argv[1]`.
    pub argument: String,
    pub message: String,
    pub hint: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weight {
    /// The step fails in any case.
    Impossible,
    /// The step fails unless an earlier step creates the missing file.
    Missing,
    /// The step fails unless an empty argument gets a value, which a param may still give.
    Unset,
    /// A relevant change will go unnoticed, so old outputs may be reused.
    Unnoticed,
}
