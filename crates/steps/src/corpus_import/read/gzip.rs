//! Reads the members of a gzip file in sequence, like `gzip` itself.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// Decompresses all members. Skips zero padding after the last one, which tapes and block devices add.
pub struct Members<R: BufRead> {
    /// `None` at the end.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    pub fn new(stored: R) -> Self {
        Members { member: Some(GzDecoder::new(stored)) }
    }

    /// Opens the next member, if any.
    fn next(&mut self) -> io::Result<()> {
        let Some(member) = self.member.take() else { return Ok(()) };
        let mut stored = member.into_inner();
        let mut padded = false;
        loop {
            let bytes = stored.fill_buf()?;
            if bytes.is_empty() {
                return Ok(());
            }
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            if zeros == 0 {
                break;
            }
            stored.consume(zeros);
            padded = true;
        }
        if padded || stored.fill_buf()?.first() != Some(&0x1F) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "bytes behind the last member"));
        }
        self.member = Some(GzDecoder::new(stored));
        Ok(())
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(into)?;
            if read > 0 || into.is_empty() {
                return Ok(read);
            }
            self.next()?;
        }
        Ok(0)
    }
}
