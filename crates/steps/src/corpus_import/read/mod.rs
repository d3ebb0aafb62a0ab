//! Turns the bytes of a file into texts: stored bytes, decompression, decoding, lines, documents.

mod bad_line;
mod column;
mod decode;
mod encoding;
mod gzip;
mod json_file;
mod lines;
mod peek;
mod raw;
mod texts;
mod transcode;

pub use encoding::{Encoding, named};
pub use raw::digest;
pub use texts::{Item, Options, Split, Texts};
