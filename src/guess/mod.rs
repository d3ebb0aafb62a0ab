//! Wrong guesses at verbs and flags, answered with what was meant.

mod flags;
#[cfg(test)]
mod tests;
mod verbs;

pub use flags::{assignment, flag, set_without_sign};
pub use verbs::{path, verb};
