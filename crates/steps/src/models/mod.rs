//! `model.import` and `model.export`: models from elsewhere, and for others.

#[cfg(feature = "train")]
mod as_trained;
mod eval;
mod export;
mod import;
mod source;
mod store;
#[cfg(test)]
mod tests;

#[cfg(feature = "train")]
pub use as_trained::read_as_trained;
pub use eval::MODEL_EVAL;
pub use export::MODEL_EXPORT;
pub use import::MODEL_IMPORT;
pub use store::{model_files, open_model};
