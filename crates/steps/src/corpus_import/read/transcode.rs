//! Converts text of another encoding to UTF-8.

use std::fmt;
use std::io::{self, BufRead, Read};

use encoding_rs::{Decoder, DecoderResult};

/// Bytes that are invalid in the encoding of the file.
#[derive(Debug)]
pub struct Malformed {
    pub encoding: &'static str,
    /// Offset of the first invalid byte in the decompressed content.
    pub offset: u64,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid {} at byte offset {}", self.encoding, self.offset)
    }
}

impl std::error::Error for Malformed {}

/// Decodes while reading, and fails with [`Malformed`] at invalid bytes.
pub struct Transcoder {
    encoded: Box<dyn BufRead + Send>,
    decoder: Decoder,
    offset: u64,
    text: Vec<u8>,
    at: usize,
    end: usize,
    /// Reported once the text before it was read.
    malformed: Option<Malformed>,
    finished: bool,
}

impl Transcoder {
    pub fn new(encoded: Box<dyn BufRead + Send>, decoder: Decoder) -> Self {
        let text = vec![0; 1 << 16];
        Transcoder { encoded, decoder, offset: 0, text, at: 0, end: 0, malformed: None, finished: false }
    }

    fn decode_more(&mut self) -> io::Result<()> {
        let encoded = self.encoded.fill_buf()?;
        let last = encoded.is_empty();
        let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(encoded, &mut self.text, last);
        self.encoded.consume(read);
        self.offset += read as u64;
        (self.at, self.end) = (0, written);
        match result {
            DecoderResult::InputEmpty => self.finished = last,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(bad, after) => {
                let offset = self.offset.saturating_sub(u64::from(bad) + u64::from(after));
                self.malformed = Some(Malformed { encoding: self.decoder.encoding().name(), offset });
            }
        }
        Ok(())
    }
}

impl Read for Transcoder {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.end {
            if let Some(malformed) = self.malformed.take() {
                self.finished = true;
                return Err(io::Error::new(io::ErrorKind::InvalidData, malformed));
            }
            if self.finished {
                return Ok(0);
            }
            self.decode_more()?;
        }
        let read = (&self.text[self.at..self.end]).read(into)?;
        self.at += read;
        Ok(read)
    }
}
