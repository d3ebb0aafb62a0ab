//! Wrong guesses at verbs and flags, answered with what was meant.

mod flags;
#[cfg(test)]
mod tests;
mod verbs;
mod words;

pub use flags::{assignment, flag, set_without_sign};
pub use verbs::{path, verb};
pub use words::{extra_word, output_form, schedule};
