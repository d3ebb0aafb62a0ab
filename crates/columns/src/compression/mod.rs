//! Decompression into memory, which never writes more than a block announces.

mod codec;
mod lz4;
mod snappy;

#[cfg(test)]
mod tests;

pub use codec::Codec;
