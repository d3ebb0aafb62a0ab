//! Files that a model consists of.

mod files;
mod json;
mod mapped_file;

pub use files::ModelFiles;
pub use json::{Fields, object};
pub use mapped_file::MappedFile;
