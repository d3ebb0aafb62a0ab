//! A reader that shows its next bytes before they are read.

use std::io::{self, BufRead, Read};

/// Maximum number of bytes to look ahead.
pub const AHEAD: usize = 1 << 16;

pub struct Peek {
    ahead: Vec<u8>,
    at: usize,
    rest: Box<dyn BufRead + Send>,
}

impl Peek {
    /// # Errors
    /// When the first bytes cannot be read.
    pub fn new(mut rest: Box<dyn BufRead + Send>) -> io::Result<Self> {
        let mut ahead = Vec::new();
        rest.by_ref().take(AHEAD as u64).read_to_end(&mut ahead)?;
        Ok(Peek { ahead, at: 0, rest })
    }

    /// Returns the next unread bytes, at most [`AHEAD`].
    pub fn head(&self) -> &[u8] {
        &self.ahead[self.at..]
    }
}

impl BufRead for Peek {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at < self.ahead.len() { Ok(&self.ahead[self.at..]) } else { self.rest.fill_buf() }
    }

    fn consume(&mut self, amount: usize) {
        if self.at < self.ahead.len() {
            self.at += amount;
        } else {
            self.rest.consume(amount);
        }
    }
}

impl Read for Peek {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}
