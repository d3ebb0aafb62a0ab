//! Step kind `infer`: rows in, rows out. A row is the unit of durability. `specs/batches.md` describes the protocol.

mod answers;
mod arguments;
mod asked;
mod backend;
mod batch;
mod chat;
mod durable;
mod engine;
mod handler;
mod matrix;
mod memory;
mod model;
mod prompt;
mod results;
mod sampling;
mod table;
mod tally;
#[cfg(test)]
mod tests;
mod work;

pub(crate) use arguments::{Dtype, Source};
pub(crate) use asked::{Asked, answer, engine_name};
pub(crate) use handler::missing_sources;
pub(crate) use memory::{Memory, start};
pub(crate) use model::{digest_of, files as model_files_at};

pub use answers::{AnsweringModel, Told};
pub use batch::CANCEL_FILE;
pub use chat::{ChatModel, Reply};
pub use handler::INFER;
pub use matrix::{CELLS as INFER_CELLS, MATRIX as INFER_MATRIX, MEASURE as INFER_MEASURE};
