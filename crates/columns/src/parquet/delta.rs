//! Numbers as differences, packed in blocks (`DELTA_BINARY_PACKED`): lengths of texts.

use super::hybrid::packed;
use crate::cursor::{EndsEarly, byte, take, varint, zigzag};

/// A position in such data. Numbers are decoded one at a time, so a count alone takes no memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delta {
    at: usize,
    block: u64,
    miniblocks: u64,
    /// Numbers that are still to come.
    left: u64,
    next: i64,
    /// Position in the block, with its smallest difference.
    in_block: u64,
    least: i64,
    widths: usize,
    miniblock: usize,
}

impl Delta {
    /// Reads the head at `at` in `bytes`.
    pub fn new(bytes: &[u8], mut at: usize) -> Result<Delta, EndsEarly> {
        let block = varint(bytes, &mut at)?;
        let miniblocks = varint(bytes, &mut at)?;
        let left = varint(bytes, &mut at)?;
        let next = zigzag(bytes, &mut at)?;
        // Both sizes are multiples; miniblocks hold whole groups of eight.
        let is_sound = (1..=1 << 16).contains(&miniblocks)
            && (8..=1 << 20).contains(&block)
            && block.is_multiple_of(miniblocks)
            && (block / miniblocks).is_multiple_of(8);
        if !is_sound {
            return Err(EndsEarly);
        }
        Ok(Delta { at, block, miniblocks, left, next, in_block: block, least: 0, widths: 0, miniblock: 0 })
    }

    /// Returns the next number, or `None` after the last one.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Option<i64>, EndsEarly> {
        if self.left == 0 {
            return Ok(None);
        }
        let number = self.next;
        self.left -= 1;
        if self.left > 0 {
            self.advance(bytes)?;
        }
        Ok(Some(number))
    }

    /// Adds the next difference.
    fn advance(&mut self, bytes: &[u8]) -> Result<(), EndsEarly> {
        if self.in_block == self.block {
            self.least = zigzag(bytes, &mut self.at)?;
            self.widths = self.at;
            take(bytes, &mut self.at, self.miniblocks as usize)?;
            (self.in_block, self.miniblock) = (0, self.at);
        }
        let per = self.block / self.miniblocks;
        let (number, index) = ((self.in_block / per) as usize, self.in_block % per);
        let width = u32::from(byte(bytes, &mut (self.widths + number))?);
        if width > 32 {
            return Err(EndsEarly);
        }
        if index == 0 {
            self.miniblock = self.at;
            take(bytes, &mut self.at, (per / 8) as usize * width as usize)?;
        }
        let difference = if width == 0 { 0 } else { packed(&bytes[self.miniblock..self.at], index, width)? };
        self.next = self.next.wrapping_add(self.least).wrapping_add(i64::from(difference));
        self.in_block += 1;
        Ok(())
    }

    /// Offset behind the data, once every number is read.
    ///
    /// # Errors
    /// When it ends early.
    pub fn end(mut self, bytes: &[u8]) -> Result<usize, EndsEarly> {
        while self.next(bytes)?.is_some() {}
        Ok(self.at)
    }
}
