//! The error that a verb returns to the user.

mod cli_error;
mod conversions;
mod kind;
mod report;

pub use cli_error::CliError;
pub use kind::ErrorKind;
pub use report::{Report, clap_text};
