//! Words that every layer speaks: ids, digests, failures, the worker protocol, bounded JSON.
//!
//! Knows nothing of workflows, runs or the clock, and reads no files. Pure, except for [`faults`], which tests arm.
//!
//! Start reading at [`ids`] and [`artifact`], then [`failure`] and [`protocol`]. [`json`] is where outside data gets its
//! bounds; `text` has what people write and read.

pub mod artifact;
pub mod checkpoint;
pub mod error_chain;
pub mod failure;
pub mod faults;
pub mod ids;
pub mod json;
pub mod names;
pub mod ordered_json;
pub mod protocol;
pub mod remark;
pub mod rng;
pub mod scope;
pub mod secret;
mod text;
pub mod token_file;

pub use text::{amount, duration, excerpt, path_text, shell, suggest, visible};
