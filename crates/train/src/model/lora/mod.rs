//! Low-rank adapters (Hu et al. 2021, "LoRA"): small trained matrices beside the frozen ones of a model.

mod adapter;
mod attach;
mod config;
mod merge;
mod nf4;
mod peft;
mod tensors;

pub(super) use adapter::{AdapterMasks, BlockAdapters, Part};
pub use config::{BaseFormat, LoraConfig, LoraError, Target};
pub(super) use merge::merge;
pub use nf4::Nf4;
pub use peft::{PEFT_CONFIG_FILE, PEFT_WEIGHTS_FILE, PeftConfig, PeftError};
pub use tensors::{adapter_specs, initial_adapters};
