//! Properties of the readers of outside data, for arbitrary bytes. `fuzz/` searches for inputs that break a property;
//! `cargo test` replays `fuzz/seeds`. No other crate depends on this one. Start reading at [`TARGETS`].

mod commands;
mod corpora;
mod models;
mod probe;
mod rows;
mod settings;
mod shown;
mod step;
mod stored;
mod targets;
mod templates;
#[cfg(test)]
mod tests;
mod tokens;
#[cfg(feature = "train")]
mod trained;
mod workflows;

pub use targets::{TARGETS, run};
