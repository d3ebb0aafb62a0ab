//! `train`: turns token files into a trained model, with the same bits after any interruption.

mod arguments;
mod checkpoint_writer;
mod data;
mod find_rate;
mod handler;
mod host;
mod layer_warnings;
mod loss_weights;
mod metrics_log;
mod prepared;
mod preview;
mod result;
mod resume;
mod utilisation;
mod watch;

#[cfg(test)]
mod tests;

pub(super) use data::{data_failure, open_files, open_stream};
pub use find_rate::FIND_RATE;
pub use handler::TRAIN;
pub(super) use host::SAFETENSORS;
pub(super) use prepared::backend;
pub use preview::preview;
pub(super) use result::{CONFIG_FILE, MODEL_FILE};
