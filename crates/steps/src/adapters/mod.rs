//! Low-rank adapters in PEFT's files: the step kinds `adapter.import` and `adapter.merge`, and what other steps read.

mod import;
mod merge;
mod stored;
#[cfg(test)]
mod tests;

pub use import::ADAPTER_IMPORT;
pub use merge::ADAPTER_MERGE;
pub use stored::{StoredAdapter, publish};
