//! The views of one artifact: the files of a folder or the start of a text, and where it comes from.

mod folder;
pub mod provenance;
mod rows;
pub mod view;
