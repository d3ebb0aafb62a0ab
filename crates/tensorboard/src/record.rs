//! Records: a length, its checksum, the data, and the checksum of the data.

use std::io::{self, Read};

use crate::checksum::masked;

const HEADER: usize = 12;
const FOOTER: usize = 4;
/// Longest record that is read back; ours are much shorter.
const LONGEST: usize = 16 << 20;

/// Frames a message, for one write.
pub(crate) fn frame(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(HEADER + data.len() + FOOTER);
    record.extend_from_slice(&length);
    record.extend_from_slice(&masked(&length).to_le_bytes());
    record.extend_from_slice(data);
    record.extend_from_slice(&masked(data).to_le_bytes());
    record
}

/// Reads the next record; `None` at the end, which is also a torn or damaged record.
pub(crate) fn next(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; HEADER];
    if !fill(from, &mut header)? {
        return Ok(None);
    }
    let (length, checksum) = header.split_at(8);
    let size = length.iter().rev().fold(0u64, |size, byte| size << 8 | u64::from(*byte));
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if masked(length).to_le_bytes() != checksum || size > LONGEST {
        return Ok(None);
    }
    let mut data = vec![0; size + FOOTER];
    if !fill(from, &mut data)? {
        return Ok(None);
    }
    let checksum = data.split_off(size);
    Ok((masked(&data).to_le_bytes() == checksum[..]).then_some(data))
}

/// Bytes that a record takes in a file.
pub(crate) fn framed_len(data: &[u8]) -> u64 {
    (HEADER + data.len() + FOOTER) as u64
}

/// False if fewer bytes are left.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
