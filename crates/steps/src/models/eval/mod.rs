//! `model.eval`: measures any model, imported or trained here. Also in builds without burn.

mod arguments;
mod documents;
mod handler;
#[cfg(test)]
mod tests;
mod training;

pub use handler::MODEL_EVAL;
