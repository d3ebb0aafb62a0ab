//! What can be said about a step on this machine before it runs.

/// One remark, with what helps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    pub weight: Weight,
    pub message: String,
    pub hint: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weight {
    /// The step will fail whatever happens before it.
    Impossible,
    /// The step will fail unless something else makes what is missing.
    Missing,
    /// A change that matters will not be seen.
    Unnoticed,
}
