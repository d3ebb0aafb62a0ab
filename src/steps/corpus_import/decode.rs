//! The plain bytes of a source file, decompressed on the way.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::sources::{Compression, SourceFile, unreadable};
use crate::core::failure::Failure;

const BUFFER: usize = 1 << 17;

/// Opens a file for reading its decompressed content; concatenated members are read one after the other.
///
/// # Errors
/// When the file cannot be opened.
pub fn open(file: &SourceFile) -> Result<Box<dyn BufRead>, Failure> {
    let raw = File::open(&file.path).map_err(|error| unreadable(&file.path, &error))?;
    let raw = BufReader::with_capacity(BUFFER, raw);
    let decoded: Box<dyn Read> = match file.compression {
        Compression::None => return Ok(Box::new(raw)),
        Compression::Gzip => Box::new(MultiGzDecoder::new(raw)),
        Compression::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(raw);
            Box::new(decoder.map_err(|error| read_failure(file, &error))?)
        }
    };
    Ok(Box::new(BufReader::with_capacity(BUFFER, decoded)))
}

/// The failure for an error in the middle of a file.
pub fn read_failure(file: &SourceFile, error: &io::Error) -> Failure {
    let path = file.path.display();
    let (name, check) = match file.compression {
        Compression::None => return unreadable(&file.path, error),
        Compression::Gzip => ("gzip", "gzip -t"),
        Compression::Zstd => ("zstd", "zstd -t"),
    };
    let hint = format!("check it with `{check} {path}`, then get or compress it again");
    if error.kind() == io::ErrorKind::UnexpectedEof {
        Failure::fatal(format!("{path} is truncated: the {name} data ends in the middle")).with_hint(hint)
    } else {
        Failure::fatal(format!("{path} is corrupt: not valid {name} data: {error}")).with_hint(hint)
    }
}

/// BLAKE3 digest of a file's stored bytes.
///
/// # Errors
/// When the file cannot be read.
pub fn digest(path: &Path) -> Result<blake3::Hash, Failure> {
    let mut hasher = blake3::Hasher::new();
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    hasher.update_reader(file).map_err(|error| unreadable(path, &error))?;
    Ok(hasher.finalize())
}
