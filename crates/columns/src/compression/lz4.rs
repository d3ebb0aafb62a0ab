//! LZ4: blocks of literals and copies, alone or in frames.

use super::codec::mismatch;
use super::snappy::copy;
use crate::cursor::{byte, take, u32_le};

/// Shortest copy.
const SHORTEST: usize = 4;
const FRAME: u32 = 0x184D_2204;
const UNCOMPRESSED: u32 = 1 << 31;

/// Appends a block to `out`, up to `length` bytes in all. Copies may reach into earlier blocks.
pub fn block(input: &[u8], length: usize, out: &mut Vec<u8>) -> Result<(), String> {
    let mut at = 0;
    while at < input.len() {
        let token = byte(input, &mut at)?;
        let literals = count(input, &mut at, token >> 4)?;
        let literals = take(input, &mut at, literals)?;
        if literals.len() > length - out.len() {
            return Err(mismatch(out.len() + literals.len(), length));
        }
        out.extend_from_slice(literals);
        // The last sequence has no copy.
        if at == input.len() {
            break;
        }
        let back = take(input, &mut at, 2)?;
        let back = usize::from(u16::from_le_bytes([back[0], back[1]]));
        let copied = count(input, &mut at, token & 15)?.saturating_add(SHORTEST);
        copy(out, back, copied, length)?;
    }
    Ok(())
}

/// A count that continues in the next bytes when its four bits are all set.
fn count(input: &[u8], at: &mut usize, bits: u8) -> Result<usize, String> {
    let mut count = usize::from(bits);
    if bits == 15 {
        loop {
            let more = byte(input, at)?;
            count = count.saturating_add(usize::from(more));
            if more != u8::MAX {
                break;
            }
        }
    }
    Ok(count)
}

/// Frames one after another. Checksums are not checked.
pub fn frames(input: &[u8], length: usize, out: &mut Vec<u8>) -> Result<(), String> {
    let mut at = 0;
    while at < input.len() {
        if u32_le(input, &mut at)? != FRAME {
            return Err("it is no LZ4 frame".to_owned());
        }
        let flags = byte(input, &mut at)?;
        if flags >> 6 != 1 || flags & 1 != 0 {
            return Err("an LZ4 frame of another version, or with a dictionary".to_owned());
        }
        let content_length = if flags & 8 != 0 { 8 } else { 0 };
        // Block size, content length, header checksum.
        take(input, &mut at, 1 + content_length + 1)?;
        loop {
            let size = u32_le(input, &mut at)?;
            if size == 0 {
                break;
            }
            let stored = take(input, &mut at, (size & !UNCOMPRESSED) as usize)?;
            if size & UNCOMPRESSED == 0 {
                block(stored, length, out)?;
            } else if stored.len() <= length - out.len() {
                out.extend_from_slice(stored);
            } else {
                return Err(mismatch(out.len() + stored.len(), length));
            }
            if flags & 16 != 0 {
                take(input, &mut at, 4)?;
            }
        }
        if flags & 4 != 0 {
            take(input, &mut at, 4)?;
        }
    }
    Ok(())
}
