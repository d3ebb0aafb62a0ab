//! Reads numbers and texts from the start of a file, within its bounds.

use crate::error::Problem;

/// A position in a file.
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0 }
    }

    pub fn position(&self) -> usize {
        self.at
    }

    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Problem> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| Problem::Damaged(format!("its header is cut off at byte {}", self.at)))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub fn u32(&mut self) -> Result<u32, Problem> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, Problem> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number of things of at least `least` bytes each, which must be in the rest of the file.
    pub fn count(&mut self, what: &'static str, limit: u64, least: usize) -> Result<usize, Problem> {
        let found = self.u64()?;
        if found > limit {
            return Err(Problem::TooLarge { what, found, limit });
        }
        let count = found as usize;
        if count.checked_mul(least).is_none_or(|bytes| bytes > self.left()) {
            return Err(Problem::Damaged(format!("{what} is {found}, more than the file holds")));
        }
        Ok(count)
    }

    /// A text with its length before it.
    pub fn text(&mut self, limit: u64) -> Result<&'a str, Problem> {
        let at = self.at;
        let length = self.count("the length of a text", limit, 1)?;
        std::str::from_utf8(self.take(length)?)
            .map_err(|_| Problem::Damaged(format!("the text at byte {at} is not UTF-8")))
    }
}
