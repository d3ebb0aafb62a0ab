//! Work on one text: markup, Unicode, personal data, and the judgement of a document on its own.

mod markup;
mod normalise;
mod pii;
#[cfg(test)]
mod tests;

pub use normalise::{Normalised, Rules};
pub use pii::{Pii, Replaced};
