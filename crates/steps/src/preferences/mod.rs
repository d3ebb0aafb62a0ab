//! Preferences: the step kinds `preferences.tokenize` and `preferences.reference`.

mod answers;
#[cfg(feature = "train")]
mod logps;
#[cfg(feature = "train")]
mod reference;
#[cfg(test)]
mod tests;
mod tokenize;

#[cfg(feature = "train")]
pub use logps::KnownLogps;
#[cfg(feature = "train")]
pub use reference::PREFERENCES_REFERENCE;
pub use tokenize::PREFERENCES_TOKENIZE;
