//! A line of a generated question.

/// A line and what solves it.
pub struct Line {
    pub asked: String,
    pub answer: String,
}
