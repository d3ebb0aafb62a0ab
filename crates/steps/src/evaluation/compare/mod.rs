//! Step kind `eval.compare`: two evaluations of the same items, item by item.

mod difference;
mod handler;
mod items;
#[cfg(test)]
mod tests;

pub use handler::EVAL_COMPARE;
