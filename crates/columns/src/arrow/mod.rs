//! Arrow IPC: a schema and record batches as messages, one after another.

mod batch;
mod flatbuffer;
mod message;
mod reader;
mod schema;

pub use reader::ArrowColumn;
