//! Content-addressed files. The only crate that publishes files: content is durable before anything can refer to its digest.
//!
//! It does not know runs, steps or the database. Start reading at [`ArtifactStore`]; `outside.rs` walks folders that other
//! programs made.

mod copy;
mod durable;
mod error;
mod holds;
mod local;
mod materialise;
mod outside;
mod space;
mod stamp;
mod sweep;
mod take;
mod temp;
#[cfg(test)]
mod tests;
mod tree;
mod writer;

pub use copy::copy_differences;
pub use error::ArtifactError;
pub use holds::{Attempts, Held, Holder};
pub use local::ArtifactStore;
pub use outside::{Listing, OutsideError, OutsideFile, open_regular};
pub use space::{HEADROOM_BYTES, free_bytes};
pub use stamp::Stamp;
pub use tree::Tree;
pub use writer::ArtifactWriter;
