//! Small numbers as runs of one number, or packed into groups of eight: levels, and indices of a dictionary.

use crate::cursor::{EndsEarly, take, varint};

/// A position in such data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hybrid {
    at: usize,
    end: usize,
    /// Bits of a number, 32 at most.
    width: u32,
    run: Run,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Run {
    Repeated { number: u32, left: u64 },
    Packed { start: usize, next: u64, count: u64 },
}

impl Hybrid {
    /// Starts in `start..end` of the bytes of a page.
    pub fn new(start: usize, end: usize, width: u32) -> Hybrid {
        Hybrid { at: start, end, width, run: Run::Repeated { number: 0, left: 0 } }
    }

    /// Returns the next number. `bytes` are those of the page.
    pub fn next(&mut self, bytes: &[u8]) -> Result<u32, EndsEarly> {
        // No numbers need no bytes.
        if self.width == 0 {
            return Ok(0);
        }
        loop {
            match &mut self.run {
                Run::Repeated { number, left } if *left > 0 => {
                    *left -= 1;
                    return Ok(*number);
                }
                Run::Packed { start, next, count } if *next < *count => {
                    let number = packed(bytes.get(*start..self.end).ok_or(EndsEarly)?, *next, self.width)?;
                    *next += 1;
                    return Ok(number);
                }
                _ => self.run = self.next_run(bytes)?,
            }
        }
    }

    fn next_run(&mut self, bytes: &[u8]) -> Result<Run, EndsEarly> {
        let bytes = bytes.get(..self.end).ok_or(EndsEarly)?;
        let head = varint(bytes, &mut self.at)?;
        if head & 1 == 0 {
            let stored = take(bytes, &mut self.at, self.width.div_ceil(8) as usize)?;
            let number = stored.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte));
            // A run of nothing is valid; it has bytes, so it cannot go on for ever.
            return Ok(Run::Repeated { number, left: head >> 1 });
        }
        let groups = head >> 1;
        let start = self.at;
        let wanted = usize::try_from(groups.saturating_mul(u64::from(self.width))).map_err(|_| EndsEarly)?;
        // Writers may leave the last group incomplete.
        self.at = self.at.saturating_add(wanted).min(self.end);
        Ok(Run::Packed { start, next: 0, count: groups.saturating_mul(8) })
    }
}

/// The number at `index` among numbers of `width` bits, the lowest bits first.
pub fn packed(bytes: &[u8], index: u64, width: u32) -> Result<u32, EndsEarly> {
    let bit = index.checked_mul(u64::from(width)).ok_or(EndsEarly)?;
    let first = usize::try_from(bit / 8).map_err(|_| EndsEarly)?;
    let shift = bit % 8;
    let needed = (shift + u64::from(width)).div_ceil(8) as usize;
    let stored = bytes.get(first..first.checked_add(needed).ok_or(EndsEarly)?).ok_or(EndsEarly)?;
    let number = stored.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    Ok((number >> shift & ((1u64 << width) - 1)) as u32)
}
