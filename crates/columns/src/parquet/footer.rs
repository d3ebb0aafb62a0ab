//! The footer of a Parquet file: its schema, and where each row group has the pages of a column.

use super::schema::{Element, Leaf, find, leaves};
use super::thrift::{Field, Malformed, Thrift};
use crate::compression::Codec;
use crate::error::ColumnError;
use crate::file::Stored;

const MAGIC: &[u8] = b"PAR1";
/// End of a file whose footer is encrypted.
const ENCRYPTED: &[u8] = b"PARE";
/// Length of the footer, and the magic number.
const TRAILER: u64 = 8;

/// The pages of the wanted column in one row group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chunk {
    pub codec: Codec,
    /// Offset of the first page.
    pub start: u64,
    /// Offset behind the last page.
    pub end: u64,
    /// Rows, which are as many values.
    pub rows: u64,
}

/// The wanted column.
#[derive(Debug)]
pub struct Footer {
    pub leaf: Leaf,
    pub chunks: Vec<Chunk>,
}

/// A column of a row group as it stands in the file.
#[derive(Default)]
struct ColumnChunk {
    path: Vec<String>,
    other_file: bool,
    is_encrypted: bool,
    codec: i64,
    values: i64,
    bytes: i64,
    data: i64,
    dictionary: Option<i64>,
}

#[derive(Default)]
struct RowGroup {
    columns: Vec<ColumnChunk>,
    rows: i64,
}

impl Footer {
    /// Reads the footer and finds the column `name`.
    pub fn read(stored: &Stored, name: &str) -> Result<Footer, ColumnError> {
        let (start, bytes) = bytes(stored)?;
        let mut thrift = Thrift::new(&bytes);
        let read = metadata(&mut thrift);
        let damaged = |at: usize, what: String| ColumnError::damaged(start + at as u64, format!("bad footer: {what}"));
        let (elements, groups) = read.map_err(|error| damaged(thrift.at(), error.to_string()))?;
        let leaves = leaves(&elements).map_err(|what| damaged(0, what.to_owned()))?;
        let index = find(&leaves, name)?;
        let leaf = leaves[index].clone();
        let mut chunks = Vec::new();
        for (number, group) in groups.iter().enumerate() {
            let column = group.columns.get(index).filter(|column| column.path == leaf.path);
            let column = column.ok_or_else(|| damaged(0, format!("row group {number} has no column `{name}`")))?;
            chunks.push(column.chunk(group.rows, start).map_err(|what| {
                if column.is_encrypted || column.other_file || codec(column.codec).is_none() {
                    ColumnError::unsupported(start, format!("row group {number}: {what}"))
                } else {
                    damaged(0, format!("row group {number}: {what}"))
                }
            })?);
        }
        Ok(Footer { leaf, chunks })
    }
}

/// Offset and bytes of the footer.
fn bytes(stored: &Stored) -> Result<(u64, Vec<u8>), ColumnError> {
    let head = stored.read_up_to(0, MAGIC.len() as u64)?;
    if head != MAGIC {
        return Err(ColumnError::NotThisFormat("it does not start with `PAR1` at byte 0".to_owned()));
    }
    if stored.length < MAGIC.len() as u64 + TRAILER {
        return Err(ColumnError::NotThisFormat(format!(
            "it has {} bytes: it is truncated before the footer",
            stored.length
        )));
    }
    let at = stored.length - TRAILER;
    let trailer = stored.read(at, TRAILER, "the end of the footer")?;
    if &trailer[4..] == ENCRYPTED {
        return Err(ColumnError::unsupported(at + 4, "the footer is encrypted"));
    }
    if &trailer[4..] != MAGIC {
        return Err(ColumnError::NotThisFormat(format!(
            "it does not end with `PAR1` at byte {}: it is truncated, or its footer was never written",
            at + 4
        )));
    }
    let length = u64::from(u32::from_le_bytes([trailer[0], trailer[1], trailer[2], trailer[3]]));
    if length > at - MAGIC.len() as u64 {
        let what = format!("bad footer: its length is {length} bytes, before it there are {}", at - 4);
        return Err(ColumnError::damaged(at, what));
    }
    if length > stored.limits.metadata_bytes {
        let limit = stored.limits.metadata_bytes;
        return Err(ColumnError::TooLarge { offset: at, what: "a footer", bytes: length, limit });
    }
    Ok((at - length, stored.read(at - length, length, "the footer")?))
}

fn metadata(thrift: &mut Thrift<'_>) -> Result<(Vec<Element>, Vec<RowGroup>), Malformed> {
    let (mut elements, mut groups) = (Vec::new(), Vec::new());
    thrift.structure(|thrift, id, kind| {
        match id {
            2 => elements = thrift.structures(kind, Element::read)?,
            4 => groups = thrift.structures(kind, RowGroup::read)?,
            _ => return Ok(Field::Skip),
        }
        Ok(Field::Read)
    })?;
    Ok((elements, groups))
}

impl RowGroup {
    fn read(thrift: &mut Thrift<'_>) -> Result<RowGroup, Malformed> {
        let mut group = RowGroup::default();
        thrift.structure(|thrift, id, kind| {
            match id {
                1 => group.columns = thrift.structures(kind, ColumnChunk::read)?,
                3 => group.rows = thrift.integer(kind)?,
                _ => return Ok(Field::Skip),
            }
            Ok(Field::Read)
        })?;
        Ok(group)
    }
}

impl ColumnChunk {
    fn read(thrift: &mut Thrift<'_>) -> Result<ColumnChunk, Malformed> {
        let mut column = ColumnChunk::default();
        thrift.structure(|thrift, id, kind| {
            match id {
                1 => column.other_file = !thrift.text(kind)?.is_empty(),
                3 => column.metadata(thrift)?,
                8 => {
                    column.is_encrypted = true;
                    return Ok(Field::Skip);
                }
                _ => return Ok(Field::Skip),
            }
            Ok(Field::Read)
        })?;
        Ok(column)
    }

    fn metadata(&mut self, thrift: &mut Thrift<'_>) -> Result<(), Malformed> {
        thrift.structure(|thrift, id, kind| {
            match id {
                3 => self.path = thrift.texts(kind)?,
                4 => self.codec = thrift.integer(kind)?,
                5 => self.values = thrift.integer(kind)?,
                7 => self.bytes = thrift.integer(kind)?,
                9 => self.data = thrift.integer(kind)?,
                11 => self.dictionary = Some(thrift.integer(kind)?),
                _ => return Ok(Field::Skip),
            }
            Ok(Field::Read)
        })
    }

    /// Checks that the pages lie before the footer, which starts at `footer`.
    fn chunk(&self, rows: i64, footer: u64) -> Result<Chunk, String> {
        if self.is_encrypted {
            return Err("the column is encrypted".to_owned());
        }
        if self.other_file {
            return Err("the column is in another file".to_owned());
        }
        let codec =
            codec(self.codec).ok_or_else(|| format!("the column is compressed with {}", codec_name(self.codec)))?;
        let number = |number: i64| u64::try_from(number).map_err(|_| format!("{number} as a position or a count"));
        // Writers that have no dictionary may leave its offset at 0.
        let first = self.dictionary.filter(|at| *at > 0).map_or(self.data, |at| at.min(self.data));
        let (start, bytes, rows) = (number(first)?, number(self.bytes)?, number(rows)?);
        let end = start.saturating_add(bytes);
        if end > footer || start < MAGIC.len() as u64 && rows > 0 {
            return Err(format!("its pages lie from byte {start} to {end}, the footer starts at byte {footer}"));
        }
        if number(self.values)? != rows {
            return Err(format!("{rows} rows, {} values", self.values));
        }
        Ok(Chunk { codec, start, end, rows })
    }
}

fn codec(id: i64) -> Option<Codec> {
    match id {
        0 => Some(Codec::None),
        1 => Some(Codec::Snappy),
        2 => Some(Codec::Gzip),
        6 => Some(Codec::Zstd),
        7 => Some(Codec::Lz4Block),
        _ => None,
    }
}

fn codec_name(id: i64) -> String {
    match id {
        3 => "LZO".to_owned(),
        4 => "Brotli".to_owned(),
        5 => "LZ4 of Hadoop".to_owned(),
        _ => format!("codec {id}"),
    }
}
