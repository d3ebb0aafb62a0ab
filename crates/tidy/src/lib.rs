//! House rules that neither the compiler nor clippy can see. `cargo test -p stepwell-tidy` reads the whole repository as text
//! and names the file and line of each problem.
//!
//! It knows no other crate and builds none. Start reading at [`House`]; each module after it holds the rules of one topic, and
//! `tests/repository.rs` applies them.

pub mod circles;
pub mod failpoints;
mod house;
pub mod layers;
mod manifest;
mod module_tree;
pub mod modules;
mod paths;
pub mod purity;
pub mod size;
mod source;
mod text;
pub mod text_rules;

pub use house::House;

/// One line for each broken rule: `file:line: problem`.
pub type Problems = Vec<String>;
