//! The two forms of standard output, and messages on standard error.

mod human;
mod json;
mod run_names;
mod screen;
pub mod streams;
mod writer;

pub use human::{duration, grid, short_id, shown_path, since, table};
pub use json::{SCHEMA, run_json, step_json};
pub use screen::Screen;
pub use stepwell_base::amount::about as bytes;
pub use streams::Printed;
pub use writer::Output;
