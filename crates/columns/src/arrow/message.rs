//! Messages: their length, a description, and a body that the description divides into buffers.

use super::flatbuffer::{Malformed, Table};
use crate::error::ColumnError;
use crate::file::Stored;

/// Stands before the length of a message since version 0.15 of Arrow.
const CONTINUES: [u8; 4] = [0xFF; 4];

/// A message in the file.
pub struct Message {
    /// Its description.
    pub bytes: Vec<u8>,
    /// Offset of the description.
    pub at: u64,
    /// Offset of the body.
    pub body: u64,
    /// Offset behind the body.
    pub end: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Header {
    Schema,
    Dictionary,
    RecordBatch,
    Other,
}

impl Message {
    /// Reads the message at `offset`; `None` at the end of the messages.
    pub fn read(stored: &Stored, offset: u64) -> Result<Option<Message>, ColumnError> {
        // Streams may end without a mark.
        if offset == stored.length {
            return Ok(None);
        }
        let mut at = offset;
        let mut length = word(stored, &mut at)?;
        if length == CONTINUES {
            length = word(stored, &mut at)?;
        }
        let length = i32::from_le_bytes(length);
        if length == 0 {
            return Ok(None);
        }
        let length = u64::try_from(length)
            .map_err(|_| ColumnError::damaged(offset, format!("bad message: {length} as its length")))?;
        if length > stored.limits.metadata_bytes {
            let limit = stored.limits.metadata_bytes;
            return Err(ColumnError::TooLarge { offset, what: "a description", bytes: length, limit });
        }
        let bytes = stored.read(at, length, "the description of a message")?;
        let body = at + length;
        let mut message = Message { bytes, at: offset, body, end: body };
        let of_body = message.table()?.i64(3).map_err(|Malformed| message.bad())?;
        let of_body = u64::try_from(of_body).map_err(|_| message.bad())?;
        message.end = body.checked_add(of_body).ok_or_else(|| message.bad())?;
        if message.end > stored.length {
            let (length, wanted) = (stored.length, message.end);
            return Err(ColumnError::Truncated { length, what: "the end of a message", wanted });
        }
        Ok(Some(message))
    }

    fn table(&self) -> Result<Table<'_>, ColumnError> {
        Table::root(&self.bytes).map_err(|Malformed| self.bad())
    }

    pub fn bad(&self) -> ColumnError {
        ColumnError::damaged(self.at, "bad message")
    }

    pub fn header(&self) -> Result<(Header, Table<'_>), ColumnError> {
        let table = self.table()?;
        let read = || Ok((table.u8(1)?, table.table(2)?.ok_or(Malformed)?));
        let (kind, header) = read().map_err(|Malformed| self.bad())?;
        let kind = match kind {
            1 => Header::Schema,
            2 => Header::Dictionary,
            3 => Header::RecordBatch,
            _ => Header::Other,
        };
        Ok((kind, header))
    }
}

fn word(stored: &Stored, at: &mut u64) -> Result<[u8; 4], ColumnError> {
    let bytes = stored.read(*at, 4, "the length of a message")?;
    *at += 4;
    Ok([bytes[0], bytes[1], bytes[2], bytes[3]])
}
