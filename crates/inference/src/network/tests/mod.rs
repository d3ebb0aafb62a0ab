//! Models for tests, and those of `transformers`.

mod golden;
mod random;

pub(crate) use random::RandomModel;
