//! Headers of pages.

use super::thrift::{Field, Malformed, Thrift};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageKind {
    Dictionary,
    /// Levels and values are compressed together.
    One,
    /// Lengths of the levels, which stand before the values and are never compressed.
    Two {
        repetition_bytes: i64,
        definition_bytes: i64,
        is_compressed: bool,
    },
    /// An index, which is skipped.
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageHeader {
    pub kind: PageKind,
    pub values: i64,
    pub encoding: i64,
    /// Encoding of the levels.
    pub levels_encoding: i64,
    pub uncompressed: i64,
    pub compressed: i64,
    /// CRC-32 of the bytes as they are stored.
    pub crc: Option<i64>,
}

/// Encoding of levels: runs and groups of bits.
pub const RLE: i64 = 3;

impl PageHeader {
    /// Reads a header; returns it with its length.
    pub fn read(bytes: &[u8]) -> Result<(PageHeader, usize), Malformed> {
        let mut thrift = Thrift::new(bytes);
        let mut page = PageHeader {
            kind: PageKind::Other,
            values: 0,
            encoding: 0,
            levels_encoding: RLE,
            uncompressed: -1,
            compressed: -1,
            crc: None,
        };
        let mut number = -1;
        thrift.structure(|thrift, id, kind| {
            match id {
                1 => number = thrift.integer(kind)?,
                2 => page.uncompressed = thrift.integer(kind)?,
                3 => page.compressed = thrift.integer(kind)?,
                4 => page.crc = Some(thrift.integer(kind)?),
                5 => page.one(thrift)?,
                7 => page.dictionary(thrift)?,
                8 => page.two(thrift)?,
                _ => return Ok(Field::Skip),
            }
            Ok(Field::Read)
        })?;
        let announced = match page.kind {
            PageKind::One => number == 0,
            PageKind::Dictionary => number == 2,
            PageKind::Two { .. } => number == 3,
            PageKind::Other => number == 1,
        };
        if announced { Ok((page, thrift.at())) } else { Err(Malformed::Wrong("a page of an unknown kind")) }
    }

    fn one(&mut self, thrift: &mut Thrift<'_>) -> Result<(), Malformed> {
        self.kind = PageKind::One;
        thrift.structure(|thrift, id, kind| {
            match id {
                1 => self.values = thrift.integer(kind)?,
                2 => self.encoding = thrift.integer(kind)?,
                3 => self.levels_encoding = thrift.integer(kind)?,
                _ => return Ok(Field::Skip),
            }
            Ok(Field::Read)
        })
    }

    fn dictionary(&mut self, thrift: &mut Thrift<'_>) -> Result<(), Malformed> {
        self.kind = PageKind::Dictionary;
        thrift.structure(|thrift, id, kind| {
            match id {
                1 => self.values = thrift.integer(kind)?,
                2 => self.encoding = thrift.integer(kind)?,
                _ => return Ok(Field::Skip),
            }
            Ok(Field::Read)
        })
    }

    fn two(&mut self, thrift: &mut Thrift<'_>) -> Result<(), Malformed> {
        let (mut repetition_bytes, mut definition_bytes, mut is_compressed) = (0, 0, true);
        thrift.structure(|thrift, id, kind| {
            match id {
                1 => self.values = thrift.integer(kind)?,
                4 => self.encoding = thrift.integer(kind)?,
                5 => definition_bytes = thrift.integer(kind)?,
                6 => repetition_bytes = thrift.integer(kind)?,
                7 => {
                    is_compressed = kind.is_true();
                    return Ok(Field::Skip);
                }
                _ => return Ok(Field::Skip),
            }
            Ok(Field::Read)
        })?;
        self.kind = PageKind::Two { repetition_bytes, definition_bytes, is_compressed };
        Ok(())
    }
}
