//! Event files of TensorBoard: one folder for each series, with rows in the order of their training steps.
//!
//! It knows no runs and no database: rows come in, records go out. Two programs read the files, and other tools read each
//! file by itself, so no training step is ever in them twice: [`Folder::rewind`] cuts rows off, and the next row starts a
//! new file that tells running readers what is void.
//!
//! Start reading at [`Folder`]. `record` frames messages, `wire` writes their fields, `event` has those that we need.

mod checksum;
mod event;
mod file;
mod folder;
mod naming;
mod record;
mod rows;
mod tag;
#[cfg(test)]
mod tests;
mod wire;

pub use event::{Hyperparameter, Row, Text, preformatted};
pub use folder::{Folder, Heading};
pub use rows::Rows;
pub use tag::tag;
