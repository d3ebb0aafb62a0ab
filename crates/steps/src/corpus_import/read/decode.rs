//! Decompresses a source file and decodes it to UTF-8.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use super::encoding::{self, Conflict, Encoding};
use super::gzip::Members;
use super::peek::Peek;
use super::raw::{Raw, Tally};
use super::transcode::{Malformed, Transcoder};
use crate::corpus_import::source::{Compression, SourceFile, unreadable};
use stepwell_base::failure::Failure;
use stepwell_base::shell::quote;

const BUFFER: usize = 1 << 17;
/// The largest window that `zstd --long` writes, 2 GiB. Such a file needs that much memory.
const WINDOW_LOG: u32 = 31;

/// An open source file, decompressed and decoded.
pub struct Plain<'a> {
    pub file: &'a SourceFile,
    pub text: Peek,
    pub tally: Arc<Tally>,
    /// True if the file looks like UTF-8 although `encoding` differs.
    pub doubtful: bool,
}

impl<'a> Plain<'a> {
    /// # Errors
    /// When the file cannot be opened, is not compressed as its name suggests, or has another encoding.
    pub fn open(file: &'a SourceFile, encoding: Encoding) -> Result<Self, Failure> {
        let (stored, tally) = Raw::open(&file.path)?;
        let failure = |error: io::Error| read_failure(file, &error, tally.offset());
        let text = Peek::new(decompressed(file, stored).map_err(failure)?).map_err(failure)?;
        let is = encoding.of_file(text.head()).map_err(|conflict| other_encoding(file, encoding, &conflict))?;
        let doubtful = encoding.is_doubtful(text.head());
        if encoding.is_utf8() {
            return Ok(Plain { file, text, tally, doubtful });
        }
        let transcoder = Transcoder::new(Box::new(text), is.new_decoder_with_bom_removal());
        let text = Peek::new(Box::new(BufReader::with_capacity(BUFFER, transcoder)));
        let text = text.map_err(|error| read_failure(file, &error, tally.offset()))?;
        Ok(Plain { file, text, tally, doubtful })
    }

    /// Failure for a read error after the start of the file.
    pub fn failure(&self, error: &io::Error) -> Failure {
        read_failure(self.file, error, self.tally.offset())
    }
}

fn decompressed(file: &SourceFile, mut stored: Raw) -> io::Result<Box<dyn BufRead + Send>> {
    // A file of 0 bytes is empty text under any name.
    if file.compression == Compression::None || stored.fill_buf()?.is_empty() {
        return Ok(Box::new(stored));
    }
    let decoded: Box<dyn Read + Send> = match file.compression {
        Compression::None => return Ok(Box::new(stored)),
        // The decompressor would report a short text as "truncated".
        Compression::Gzip if stored.fill_buf()?.first() != Some(&0x1F) => {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it does not start as gzip data does"));
        }
        Compression::Gzip => Box::new(Members::new(stored)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(stored)?;
            decoder.window_log_max(WINDOW_LOG)?;
            Box::new(decoder)
        }
    };
    Ok(Box::new(BufReader::with_capacity(BUFFER, decoded)))
}

fn read_failure(file: &SourceFile, error: &io::Error, offset: u64) -> Failure {
    let path = file.shown();
    if let Some(malformed) = error.get_ref().and_then(|inner| inner.downcast_ref::<Malformed>()) {
        return Failure::fatal(format!("{path}: {malformed}"))
            .with_hint("set `encoding` to the encoding of the file, or repair the file there");
    }
    let (name, check) = match file.compression {
        Compression::None => return unreadable(&file.path, error),
        Compression::Gzip => ("gzip", "gzip -t"),
        Compression::Zstd => ("zstd", "zstd -t"),
    };
    // System errors have a number, errors of the decompressors have none.
    if error.raw_os_error().is_some() {
        return unreadable(&file.path, error);
    }
    let hint = format!("check it with `{check} {}`, then get or compress it again", quote(&file.path));
    if error.kind() == io::ErrorKind::UnexpectedEof {
        let message = format!("{path} is truncated: the {name} data ends in the middle, at byte {offset} of the file");
        Failure::fatal(message).with_hint(hint)
    } else {
        let message = format!("{path} is corrupt: not valid {name} data near byte {offset} of the file: {error}");
        Failure::fatal(message).with_hint(hint)
    }
}

fn other_encoding(file: &SourceFile, asked: Encoding, conflict: &Conflict) -> Failure {
    let (path, asked) = (file.shown(), asked.is.name());
    match conflict {
        Conflict::Marked(name) => {
            Failure::fatal(format!("{path} is {name}, not {asked}: its byte order mark is at byte offset 0"))
                .with_hint(encoding::set(&name.to_lowercase()))
        }
        Conflict::LooksLikeUtf16(name) => Failure::fatal(format!(
            "{path} looks like {name}, not {asked}: NUL bytes in every second place from byte offset {} on",
            u8::from(*name == "UTF-16LE")
        ))
        .with_hint(encoding::set(&name.to_lowercase())),
        Conflict::LooksLikeAscii => {
            Failure::fatal(format!("{path} looks like UTF-8, not {asked}: only ASCII from byte offset 0 on"))
                .with_hint(encoding::set("utf-8"))
        }
        Conflict::Utf32 => {
            Failure::fatal(format!("{path} is UTF-32, not {asked}: its byte order mark is at byte offset 0"))
                .with_hint(format!("UTF-32 is not read; convert it: iconv -f UTF-32 -t UTF-8 {}", quote(&file.path)))
        }
    }
}
