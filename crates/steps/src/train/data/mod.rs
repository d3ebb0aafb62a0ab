//! Sources of the phases, opened and mixed.

mod mixture;
mod open;
mod sources;

pub use mixture::{Mixed, mixture};
pub use open::{data_failure, open_files, open_stream, samplers};
