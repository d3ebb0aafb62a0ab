//! `model.import` and `model.export`: models from elsewhere, and for others.

mod export;
mod import;
mod source;
mod store;
#[cfg(test)]
mod tests;

pub use export::MODEL_EXPORT;
pub use import::MODEL_IMPORT;
pub use store::{model_files, open_model};
