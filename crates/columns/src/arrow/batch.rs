//! The texts of one record batch.

use super::flatbuffer::{Malformed, Table, Vector};
use super::message::Message;
use super::schema::Wanted;
use crate::compression::Codec;
use crate::error::ColumnError;
use crate::file::Stored;

/// Bytes of the description of an array, and of a buffer.
const ARRAY: usize = 16;
const BUFFER: usize = 16;
/// Bytes of the length before compressed data.
const LENGTH: usize = 8;

/// A record batch and the position in it.
pub struct Batch {
    rows: u64,
    row: u64,
    /// One bit per row, for each entry on the path that has nulls.
    validity: Vec<Vec<u8>>,
    offsets: Vec<u8>,
    offset_bytes: usize,
    texts: Vec<u8>,
    /// Offset of the batch, for messages.
    at: u64,
}

/// Reads the buffers of a record batch.
struct Buffers<'a> {
    stored: &'a Stored,
    message: &'a Message,
    arrays: Vector<'a>,
    buffers: Vector<'a>,
    codec: Codec,
}

impl Batch {
    pub fn read(stored: &Stored, message: &Message, header: &Table<'_>, wanted: &Wanted) -> Result<Batch, ColumnError> {
        let bad = |Malformed| message.bad();
        let rows = u64::try_from(header.i64(0).map_err(bad)?).map_err(|_| message.bad())?;
        let arrays = header.vector(1, ARRAY).map_err(bad)?.ok_or_else(|| message.bad())?;
        let buffers = header.vector(2, BUFFER).map_err(bad)?.ok_or_else(|| message.bad())?;
        let codec = match header.table(3).map_err(bad)? {
            None => Codec::None,
            Some(compression) => match compression.u8(0).map_err(bad)? {
                0 => Codec::Lz4Frame,
                1 => Codec::Zstd,
                codec => return Err(ColumnError::unsupported(message.at, format!("compression {codec}"))),
            },
        };
        let read = Buffers { stored, message, arrays, buffers, codec };
        let mut validity = Vec::new();
        for (array, buffer) in &wanted.validity {
            let (values, nulls) = read.array(*array)?;
            if values != rows {
                return Err(ColumnError::damaged(message.at, format!("{rows} rows, a column of {values}")));
            }
            let bits = read.buffer(*buffer, "a buffer of nulls")?;
            if nulls == 0 {
                continue;
            }
            if (bits.len() as u64) < rows.div_ceil(8) {
                return Err(ColumnError::damaged(message.at, format!("{rows} rows, nulls in {} bytes", bits.len())));
            }
            validity.push(bits);
        }
        let offsets = read.buffer(wanted.offsets, "a buffer of offsets")?;
        let needed = (rows + u64::from(rows > 0)).saturating_mul(wanted.offset_bytes as u64);
        if (offsets.len() as u64) < needed {
            return Err(ColumnError::damaged(message.at, format!("{rows} rows, offsets in {} bytes", offsets.len())));
        }
        let texts = read.buffer(wanted.offsets + 1, "a buffer of texts")?;
        let at = message.at;
        Ok(Batch { rows, row: 0, validity, offsets, offset_bytes: wanted.offset_bytes, texts, at })
    }

    /// Returns the next text: `Some(None)` for a null, `None` after the last one.
    pub fn next(&mut self) -> Result<Option<Option<Vec<u8>>>, ColumnError> {
        if self.row == self.rows {
            return Ok(None);
        }
        let row = self.row as usize;
        self.row += 1;
        if self.validity.iter().any(|bits| bits[row / 8] >> (row % 8) & 1 == 0) {
            return Ok(Some(None));
        }
        let (start, end) = (self.offset(row), self.offset(row + 1));
        let text = start.zip(end).and_then(|(start, end)| self.texts.get(start..end));
        let text = text.ok_or_else(|| ColumnError::damaged(self.at, format!("row {row} of the batch: bad offsets")))?;
        Ok(Some(Some(text.to_vec())))
    }

    fn offset(&self, index: usize) -> Option<usize> {
        let at = index * self.offset_bytes;
        let bytes = self.offsets.get(at..at + self.offset_bytes)?;
        let number = bytes.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        usize::try_from(number).ok()
    }
}

impl Buffers<'_> {
    /// Number of values and nulls of an array.
    fn array(&self, index: usize) -> Result<(u64, u64), ColumnError> {
        let number = |offset| self.arrays.i64(index, ARRAY, offset).ok().and_then(|number| u64::try_from(number).ok());
        number(0).zip(number(8)).ok_or_else(|| self.message.bad())
    }

    fn buffer(&self, index: usize, what: &'static str) -> Result<Vec<u8>, ColumnError> {
        let number =
            |offset| self.buffers.i64(index, BUFFER, offset).ok().and_then(|number| u64::try_from(number).ok());
        let (start, bytes) = number(0).zip(number(8)).ok_or_else(|| self.message.bad())?;
        let at = self.message.body.saturating_add(start);
        if at.saturating_add(bytes) > self.message.end {
            let what = format!("bad message: {what} up to byte {}, the message ends before", at.saturating_add(bytes));
            return Err(ColumnError::damaged(self.message.at, what));
        }
        let stored = self.stored.read(at, bytes, what)?;
        if self.codec == Codec::None || stored.is_empty() {
            return Ok(stored);
        }
        let damaged = |what: String| ColumnError::damaged(at, format!("bad buffer: {what}"));
        let (length, data) = stored.split_at_checked(LENGTH).ok_or_else(|| damaged("it has no length".to_owned()))?;
        let length = length.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte)).cast_signed();
        // -1: compression would not have made it smaller.
        if length == -1 {
            return Ok(data.to_vec());
        }
        let length = u64::try_from(length).map_err(|_| damaged(format!("{length} as its length")))?;
        let limit = self.stored.limits.block_bytes;
        if length > limit {
            return Err(ColumnError::TooLarge { offset: at, what, bytes: length, limit });
        }
        self.codec.decompress(data.to_vec(), length as usize).map_err(damaged)
    }
}
