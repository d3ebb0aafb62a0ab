//! Snappy blocks: a varint with the length, then literals and copies of earlier bytes.

use super::codec::mismatch;
use crate::cursor::{EndsEarly, byte, take, varint};

/// Decompresses into `out`, which is empty, at most `length` bytes.
pub fn decompress(input: &[u8], length: usize, out: &mut Vec<u8>) -> Result<(), String> {
    let mut at = 0;
    let announced = varint(input, &mut at)?;
    if announced != length as u64 {
        return Err(mismatch(usize::try_from(announced).unwrap_or(usize::MAX), length));
    }
    while at < input.len() {
        let tag = byte(input, &mut at)?;
        let high = usize::from(tag >> 2);
        let (copied, back) = match tag & 3 {
            0 => {
                // Lengths up to 60 are in the tag; 60 to 63 say how many bytes hold it.
                let literal = if high < 60 { high } else { little_endian(take(input, &mut at, high - 59)?) };
                let literal = take(input, &mut at, literal.checked_add(1).ok_or(EndsEarly)?)?;
                if literal.len() > length - out.len() {
                    return Err(mismatch(out.len() + literal.len(), length));
                }
                out.extend_from_slice(literal);
                continue;
            }
            1 => (4 + (high & 7), (high >> 3) << 8 | usize::from(byte(input, &mut at)?)),
            2 => (1 + high, little_endian(take(input, &mut at, 2)?)),
            _ => (1 + high, little_endian(take(input, &mut at, 4)?)),
        };
        copy(out, back, copied, length)?;
    }
    Ok(())
}

fn little_endian(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

/// Appends `count` bytes that start `back` bytes before the end; they may overlap what is appended.
pub fn copy(out: &mut Vec<u8>, back: usize, count: usize, length: usize) -> Result<(), String> {
    if back == 0 || back > out.len() {
        return Err(format!("a copy from {back} bytes before, with {} bytes there", out.len()));
    }
    if count > length - out.len() {
        return Err(mismatch(out.len() + count, length));
    }
    let start = out.len() - back;
    let mut left = count;
    while left > 0 {
        // The output repeats every `back` bytes, so each round copies twice as much.
        let part = left.min(out.len() - start);
        out.extend_from_within(start..start + part);
        left -= part;
    }
    Ok(())
}
