//! Reads record batches one after another. One of them is in memory, of the wanted column only.

use super::batch::Batch;
use super::message::{Header, Message};
use super::schema::{Wanted, find};
use crate::column::{Cell, cell};
use crate::error::ColumnError;
use crate::file::Stored;

/// Start and end of the file format; a stream has neither.
const MAGIC: &[u8] = b"ARROW1";
/// The magic number, padded.
const START: u64 = 8;
/// Start of Feather files of the first version, which are no Arrow IPC.
const FEATHER: &[u8] = b"FEA1";

pub struct ArrowColumn {
    stored: Stored,
    wanted: Wanted,
    /// Offset of the next message.
    next: u64,
    layout: Layout,
    batch: Option<Batch>,
    is_finished: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Layout {
    File,
    Stream,
}

impl ArrowColumn {
    pub fn open(stored: Stored, name: &str) -> Result<ArrowColumn, ColumnError> {
        let head = stored.read_up_to(0, MAGIC.len() as u64)?;
        if head.starts_with(FEATHER) {
            return Err(ColumnError::unsupported(0, "Feather of version 1"));
        }
        let layout = if head == MAGIC { Layout::File } else { Layout::Stream };
        if layout == Layout::File {
            let at = stored.length - MAGIC.len() as u64;
            if stored.length < 2 * START || stored.read(at, MAGIC.len() as u64, "the end of the file")? != MAGIC {
                return Err(ColumnError::NotThisFormat(format!(
                    "it starts with `ARROW1` and does not end so at byte {at}: it is truncated, or its footer was never \
                     written"
                )));
            }
        } else if !head.starts_with(&[0xFF; 4]) {
            return Err(ColumnError::NotThisFormat(
                "it starts neither as a file nor as a stream of Arrow at byte 0".to_owned(),
            ));
        }
        let start = if layout == Layout::File { START } else { 0 };
        let message = Message::read(&stored, start)?;
        let message = message.ok_or_else(|| ColumnError::damaged(start, "there is no schema"))?;
        let (kind, header) = message.header()?;
        if kind != Header::Schema {
            return Err(ColumnError::damaged(start, "the first message is no schema"));
        }
        let wanted = find(&header, name, start)?;
        let next = message.end;
        Ok(ArrowColumn { stored, wanted, next, layout, batch: None, is_finished: false })
    }

    pub fn offset(&self) -> u64 {
        self.next
    }

    pub fn next_cell(&mut self) -> Result<Option<Cell>, ColumnError> {
        loop {
            if let Some(batch) = &mut self.batch {
                match batch.next()? {
                    Some(text) => return Ok(Some(text.map_or(Cell::Null, cell))),
                    None => self.batch = None,
                }
            }
            if self.is_finished {
                return Ok(None);
            }
            let Some(message) = Message::read(&self.stored, self.next)? else {
                self.is_finished = true;
                // A file has its footer behind the messages; without a mark in between it would be one of them.
                if self.layout == Layout::File && self.next == self.stored.length {
                    return Err(ColumnError::damaged(self.next, "the file has no footer"));
                }
                continue;
            };
            let (kind, header) = message.header()?;
            match kind {
                Header::RecordBatch => {
                    self.batch = Some(Batch::read(&self.stored, &message, &header, &self.wanted)?);
                }
                Header::Dictionary => {}
                Header::Schema | Header::Other => return Err(message.bad()),
            }
            self.next = message.end;
        }
    }
}
