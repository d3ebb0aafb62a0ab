//! Reads the pages of a column one after another. One page and the dictionary of a row group are in memory.

use super::footer::{Chunk, Footer};
use super::page::{Dictionary, Page};
use super::page_header::{PageHeader, PageKind};
use super::thrift::Malformed;
use crate::column::{Cell, cell};
use crate::error::ColumnError;
use crate::file::Stored;

/// Bytes in which most headers end; statistics make some longer.
const HEADER_BYTES: u64 = 4096;

pub struct ParquetColumn {
    stored: Stored,
    chunks: std::vec::IntoIter<Chunk>,
    /// Optional entries on the path of the column.
    levels: u32,
    chunk: Option<Position>,
    offset: u64,
}

/// The position in the pages of a row group.
struct Position {
    chunk: Chunk,
    /// Offset of the next page.
    next: u64,
    /// Rows without those of the page.
    left: u64,
    dictionary: Dictionary,
    page: Option<Page>,
    /// Offset of the page, for messages.
    at: u64,
}

impl ParquetColumn {
    pub fn open(stored: Stored, name: &str) -> Result<ParquetColumn, ColumnError> {
        let footer = Footer::read(&stored, name)?;
        let chunks = footer.chunks.into_iter();
        Ok(ParquetColumn { stored, chunks, levels: footer.leaf.levels, chunk: None, offset: 0 })
    }

    pub fn offset(&self) -> u64 {
        self.offset
    }

    pub fn next_cell(&mut self) -> Result<Option<Cell>, ColumnError> {
        loop {
            let Some(position) = &mut self.chunk else {
                let Some(chunk) = self.chunks.next() else { return Ok(None) };
                let (next, left) = (chunk.start, chunk.rows);
                self.chunk =
                    Some(Position { chunk, next, left, dictionary: Dictionary::default(), page: None, at: next });
                continue;
            };
            let at = position.at;
            if let Some(page) = &mut position.page {
                let value = page.next(&position.dictionary);
                match value.map_err(|what| ColumnError::damaged(at, format!("bad page: {what}")))? {
                    Some(value) => return Ok(Some(value.map_or(Cell::Null, cell))),
                    None => position.page = None,
                }
            }
            if position.left == 0 {
                self.chunk = None;
            } else {
                position.next_page(&self.stored, self.levels)?;
                self.offset = position.next;
            }
        }
    }
}

impl Position {
    fn next_page(&mut self, stored: &Stored, levels: u32) -> Result<(), ColumnError> {
        if self.next >= self.chunk.end {
            let what = format!("the pages of a row group end, {} rows are missing", self.left);
            return Err(ColumnError::damaged(self.next, what));
        }
        let (header, header_bytes) = self.header(stored)?;
        let start = self.next + header_bytes;
        let size = |number: i64, what: &'static str| match u64::try_from(number) {
            Ok(bytes) if bytes <= stored.limits.block_bytes => Ok(bytes),
            Ok(bytes) => {
                Err(ColumnError::TooLarge { offset: self.next, what, bytes, limit: stored.limits.block_bytes })
            }
            Err(_) => Err(ColumnError::damaged(self.next, format!("bad page header: {number} as a size"))),
        };
        let bytes = size(header.compressed, "a page")?;
        size(header.uncompressed, "a page, decompressed,")?;
        if bytes > self.chunk.end - start {
            let what = format!("bad page header: a page of {bytes} bytes, the column ends at byte {}", self.chunk.end);
            return Err(ColumnError::damaged(self.next, what));
        }
        self.at = self.next;
        self.next = start + bytes;
        if header.kind == PageKind::Other {
            return Ok(());
        }
        let page = stored.read(start, bytes, "a page")?;
        self.take(&header, page, levels).map_err(|what| ColumnError::damaged(self.at, format!("bad page: {what}")))
    }

    fn header(&self, stored: &Stored) -> Result<(PageHeader, u64), ColumnError> {
        let mut wanted = HEADER_BYTES;
        loop {
            let available = self.chunk.end - self.next;
            let bytes = stored.read_up_to(self.next, wanted.min(available))?;
            match PageHeader::read(&bytes) {
                Ok((header, length)) => return Ok((header, length as u64)),
                Err(Malformed::EndsEarly) if wanted < available.min(stored.limits.metadata_bytes) => wanted *= 8,
                Err(error) => return Err(ColumnError::damaged(self.next, format!("bad page header: {error}"))),
            }
        }
    }

    fn take(&mut self, header: &PageHeader, stored: Vec<u8>, levels: u32) -> Result<(), String> {
        if let Some(expected) = header.crc {
            let mut crc = flate2::Crc::new();
            crc.update(&stored);
            // The field is signed, the checksum is not.
            if crc.sum() != expected as u32 {
                return Err("its checksum differs".to_owned());
            }
        }
        if header.kind == PageKind::Dictionary {
            let length = usize::try_from(header.uncompressed).map_err(|error| error.to_string())?;
            self.dictionary = Dictionary::read(self.chunk.codec.decompress(stored, length)?, header.values)?;
            return Ok(());
        }
        let page = Page::read(header, stored, self.chunk.codec, levels)?;
        self.left = self
            .left
            .checked_sub(page.left())
            .ok_or_else(|| format!("{} values, the row group has {} rows left", page.left(), self.left))?;
        self.page = Some(page);
        Ok(())
    }
}
