//! Settings of the program, each with its source: flag, environment, file or default.

mod error;
mod file;
mod limits;
mod load;
mod settings;
#[cfg(test)]
mod tests;

pub use error::ConfigError;
pub use load::{Surroundings, load, load_from};
pub use settings::{ColorChoice, Origin, OutputFormat, Partial, Setting, Settings, Shown};
