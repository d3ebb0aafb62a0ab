//! Measures how well a model predicts known text.

pub mod likelihood;
pub mod score;
