//! The values of one page.

use std::ops::Range;

use super::delta::Delta;
use super::hybrid::Hybrid;
use super::page_header::{PageHeader, PageKind, RLE};
use crate::compression::Codec;
use crate::cursor::{EndsEarly, byte, take, u32_le};

// Encodings of texts.
const PLAIN: i64 = 0;
const PLAIN_DICTIONARY: i64 = 2;
const DELTA_LENGTH_BYTE_ARRAY: i64 = 6;
const DELTA_BYTE_ARRAY: i64 = 7;
const RLE_DICTIONARY: i64 = 8;

/// The texts of a dictionary page.
#[derive(Default, Debug)]
pub struct Dictionary {
    bytes: Vec<u8>,
    /// Position of each text: its length, then its bytes.
    starts: Vec<u32>,
}

impl Dictionary {
    pub fn read(bytes: Vec<u8>, count: i64) -> Result<Dictionary, String> {
        let (mut starts, mut at) = (Vec::new(), 0usize);
        for _ in 0..count {
            starts.push(u32::try_from(at).map_err(|error| error.to_string())?);
            plain(&bytes, &mut at)?;
        }
        Ok(Dictionary { bytes, starts })
    }

    fn text(&self, index: u32) -> Result<&[u8], String> {
        let start = self.starts.get(index as usize);
        let start = start.ok_or_else(|| format!("text {index} of a dictionary of {}", self.starts.len()))?;
        Ok(&self.bytes[plain(&self.bytes, &mut (*start as usize))?])
    }
}

/// Range of the text at `at`: its length in four bytes, then the text.
fn plain(bytes: &[u8], at: &mut usize) -> Result<Range<usize>, EndsEarly> {
    let length = u32_le(bytes, at)? as usize;
    let start = *at;
    take(bytes, at, length)?;
    Ok(start..*at)
}

/// A data page and the position in it.
#[derive(Debug)]
pub struct Page {
    bytes: Vec<u8>,
    /// Values that are still to come, with those that are null.
    left: u64,
    levels: Option<Hybrid>,
    most: u32,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Plain {
        at: usize,
    },
    Dictionary(Hybrid),
    /// Lengths, then all texts.
    DeltaLength {
        lengths: Delta,
        at: usize,
    },
    /// Each text starts with some bytes of the one before.
    Delta {
        prefixes: Delta,
        lengths: Delta,
        at: usize,
        before: Vec<u8>,
    },
}

impl Page {
    /// Decompresses a page whose values have up to `most` definition levels.
    pub fn read(header: &PageHeader, stored: Vec<u8>, codec: Codec, most: u32) -> Result<Page, String> {
        let size = |number: i64| usize::try_from(number).map_err(|_| format!("{number} as a size"));
        let length = size(header.uncompressed)?;
        let (bytes, levels, values) = match header.kind {
            PageKind::One => {
                let bytes = codec.decompress(stored, length)?;
                let mut at = 0;
                let mut levels = None;
                if most > 0 {
                    if header.levels_encoding != RLE {
                        return Err(format!("levels with encoding {}", header.levels_encoding));
                    }
                    let of_levels = u32_le(&bytes, &mut at)? as usize;
                    let start = at;
                    take(&bytes, &mut at, of_levels)?;
                    levels = Some(start..at);
                }
                (bytes, levels, at)
            }
            PageKind::Two { repetition_bytes, definition_bytes, is_compressed } => {
                let (skipped, of_levels) = (size(repetition_bytes)?, size(definition_bytes)?);
                let start = skipped.checked_add(of_levels).filter(|start| *start <= stored.len().min(length));
                let start = start.ok_or_else(|| "its levels are longer than the page".to_owned())?;
                let bytes = if is_compressed && codec != Codec::None {
                    let mut bytes = stored[..start].to_vec();
                    // A page of nulls may have no compressed data at all.
                    if start < stored.len() {
                        bytes.append(&mut codec.decompress(stored[start..].to_vec(), length - start)?);
                    }
                    bytes
                } else {
                    stored
                };
                (bytes, (most > 0).then_some(skipped..start), start)
            }
            PageKind::Dictionary | PageKind::Other => return Err("it is no data page".to_owned()),
        };
        let left = u64::try_from(header.values).map_err(|_| format!("{} as a number of values", header.values))?;
        // The highest level takes so many bits.
        let width = u32::BITS - most.leading_zeros();
        let levels = levels.map(|range| Hybrid::new(range.start, range.end, width));
        let values =
            if values == bytes.len() { Values::Plain { at: values } } else { decoder(header, &bytes, values)? };
        Ok(Page { bytes, left, levels, most, values })
    }

    pub fn left(&self) -> u64 {
        self.left
    }

    /// Returns the next value: `Some(None)` for a null, `None` after the last one.
    pub fn next(&mut self, dictionary: &Dictionary) -> Result<Option<Option<Vec<u8>>>, String> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        if let Some(levels) = &mut self.levels
            && levels.next(&self.bytes)? < self.most
        {
            return Ok(Some(None));
        }
        self.value(dictionary).map(|value| Some(Some(value)))
    }

    fn value(&mut self, dictionary: &Dictionary) -> Result<Vec<u8>, String> {
        let bytes = &self.bytes;
        match &mut self.values {
            Values::Plain { at } => Ok(bytes[plain(bytes, at)?].to_vec()),
            Values::Dictionary(indices) => Ok(dictionary.text(indices.next(bytes)?)?.to_vec()),
            Values::DeltaLength { lengths, at } => Ok(take(bytes, at, length(lengths, bytes)?)?.to_vec()),
            Values::Delta { prefixes, lengths, at, before } => {
                let prefix = length(prefixes, bytes)?;
                let suffix = take(bytes, at, length(lengths, bytes)?)?;
                if prefix > before.len() {
                    return Err(format!("a text starts with {prefix} bytes of one of {}", before.len()));
                }
                before.truncate(prefix);
                before.extend_from_slice(suffix);
                Ok(before.clone())
            }
        }
    }
}

fn decoder(header: &PageHeader, bytes: &[u8], mut at: usize) -> Result<Values, String> {
    match header.encoding {
        PLAIN => Ok(Values::Plain { at }),
        PLAIN_DICTIONARY | RLE_DICTIONARY => {
            let width = u32::from(byte(bytes, &mut at)?);
            if width > 32 {
                return Err(format!("dictionary indices of {width} bits"));
            }
            Ok(Values::Dictionary(Hybrid::new(at, bytes.len(), width)))
        }
        DELTA_LENGTH_BYTE_ARRAY => {
            let lengths = Delta::new(bytes, at)?;
            let at = lengths.clone().end(bytes)?;
            Ok(Values::DeltaLength { lengths, at })
        }
        DELTA_BYTE_ARRAY => {
            let prefixes = Delta::new(bytes, at)?;
            let lengths = Delta::new(bytes, prefixes.clone().end(bytes)?)?;
            let at = lengths.clone().end(bytes)?;
            Ok(Values::Delta { prefixes, lengths, at, before: Vec::new() })
        }
        encoding => Err(format!("values with encoding {encoding}, which texts do not have")),
    }
}

fn length(lengths: &mut Delta, bytes: &[u8]) -> Result<usize, String> {
    let length = lengths.next(bytes)?.ok_or_else(|| "it has fewer lengths than values".to_owned())?;
    usize::try_from(length).map_err(|_| format!("{length} as the length of a text"))
}
