//! Settings of the machine and its owner, each with its source: flag, environment, file or default.
//!
//! It knows no verbs and no runs. Start reading at [`load`].

mod error;
mod executors;
mod file;
mod home;
mod limits;
mod load;
mod remote;
mod settings;
#[cfg(test)]
mod tests;
mod webhooks;

pub use error::ConfigError;
pub use load::{Surroundings, load, load_from};
pub use remote::{RemoteAccount, RemoteKind};
pub use settings::{ColorChoice, Origin, OutputFormat, Partial, Setting, Settings, Shown, Switch};
