//! Content-addressed store: the only place that publishes files. A digest that is found here names
//! bytes that were durable before anybody could refer to them.

mod copy;
mod durable;
mod error;
mod local;
mod materialise;
mod outside;
mod space;
mod stamp;
mod sweep;
#[cfg(test)]
mod tests;
mod tree;
mod writer;

pub use copy::copy_differences;
pub use error::ArtifactError;
pub use local::ArtifactStore;
pub use outside::{Listing, OutsideError, OutsideFile, open_regular};
pub use space::{HEADROOM_BYTES, free_bytes};
pub use stamp::Stamp;
pub use tree::Tree;
pub use writer::ArtifactWriter;
