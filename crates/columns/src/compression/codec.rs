//! The compressions that files of columns use.

use std::io::{self, Read};

use super::{lz4, snappy};

/// Compression of a block of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Codec {
    None,
    Snappy,
    Gzip,
    Zstd,
    /// A block of LZ4 without a frame.
    Lz4Block,
    Lz4Frame,
}

/// Memory that is reserved for the result before any of it is known, per byte of input and at least.
const RESERVED_PER_BYTE: usize = 8;
const RESERVED: usize = 1 << 16;

impl Codec {
    /// Decompresses a block of exactly `length` bytes. Stops as soon as the data has more.
    ///
    /// # Errors
    /// The reason that the data is not such a block.
    pub fn decompress(self, input: Vec<u8>, length: usize) -> Result<Vec<u8>, String> {
        if self == Codec::None {
            return if input.len() == length { Ok(input) } else { Err(mismatch(input.len(), length)) };
        }
        let mut out = Vec::new();
        self.append(&input, length, &mut out)?;
        if out.len() == length { Ok(out) } else { Err(mismatch(out.len(), length)) }
    }

    /// Appends the data to `out`, at most one byte more than `length`.
    pub(super) fn append(self, input: &[u8], length: usize, out: &mut Vec<u8>) -> Result<(), String> {
        out.reserve_exact(length.min(input.len().saturating_mul(RESERVED_PER_BYTE).saturating_add(RESERVED)));
        match self {
            Codec::None => Ok(()),
            Codec::Snappy => snappy::decompress(input, length, out),
            Codec::Lz4Block => lz4::block(input, length, out),
            Codec::Lz4Frame => lz4::frames(input, length, out),
            Codec::Gzip => stream(flate2::read::MultiGzDecoder::new(input), length, out),
            Codec::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(input);
                stream(decoder.map_err(|error| error.to_string())?, length, out)
            }
        }
    }
}

/// Reads one byte more than announced at most.
fn stream(decoder: impl Read, length: usize, out: &mut Vec<u8>) -> Result<(), String> {
    let read: io::Result<usize> = decoder.take(length as u64 + 1).read_to_end(out);
    read.map(drop).map_err(|error| error.to_string())
}

pub fn mismatch(actual: usize, announced: usize) -> String {
    if actual > announced {
        format!("the data has more than the {announced} bytes that its header announces")
    } else {
        format!("the data has {actual} bytes, its header announces {announced}")
    }
}
