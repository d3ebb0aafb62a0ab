//! The list of runs.

mod filter;
mod handler;
mod rows;

pub use filter::encoded;
pub use handler::routes;
