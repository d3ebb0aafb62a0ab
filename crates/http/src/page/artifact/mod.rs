//! The view of one artifact: the files of a folder, or the start of a text.

mod folder;
mod view;

pub use view::routes;
