//! The bytes of a block in the database. Each name: its length and text, the number of values, the training steps of the
//! first, last, lowest and highest value and of one that is no number (0: none, else one more), counted from the start of
//! the block, and the four values. Whole numbers are LEB128, values IEEE 754 in little endian.

use std::collections::BTreeMap;

use rusqlite::Row;

use super::block::Block;
use super::extremes::{Extremes, Point};
use crate::error::StoreError;

/// The columns that [`read`] expects, in this order.
pub(crate) const COLUMNS: &str = "first_step, last_step, plain, layered";

/// # Errors
/// `Undecodable`.
pub(crate) fn read(row: &Row<'_>) -> Result<Block, StoreError> {
    let (first, last): (i64, i64) = (row.get(0)?, row.get(1)?);
    let mut block =
        Block { first_step: first.cast_unsigned(), last_step: last.cast_unsigned(), names: BTreeMap::new() };
    for column in [2, 3] {
        decode(blob(row, column)?, block.first_step, |name, extremes| {
            block.names.insert(name.to_owned(), extremes);
        })?;
    }
    Ok(block)
}

pub(crate) fn blob<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r [u8], StoreError> {
    row.get_ref(column)?.as_blob().map_err(|error| StoreError::undecodable(error.to_string()))
}

/// Names without `/`, and the others: a picture of the main curves need not read those of every layer.
pub(crate) fn encode(block: &Block) -> (Vec<u8>, Vec<u8>) {
    let (mut plain, mut layered) = (Vec::new(), Vec::new());
    for (name, extremes) in &block.names {
        add(if name.contains('/') { &mut layered } else { &mut plain }, block.first_step, name, extremes);
    }
    (plain, layered)
}

fn add(bytes: &mut Vec<u8>, start: u64, name: &str, extremes: &Extremes) {
    let Extremes { first, last, low, high, not_a_number, count } = extremes;
    put(bytes, name.len() as u64);
    bytes.extend_from_slice(name.as_bytes());
    put(bytes, *count);
    for point in [first, last, low, high] {
        put(bytes, point.train_step - start);
    }
    put(bytes, not_a_number.map_or(0, |train_step| train_step - start + 1));
    for point in [first, last, low, high] {
        bytes.extend_from_slice(&point.value.to_le_bytes());
    }
}

/// Passes what [`encode`] wrote to `see`, in the order of names.
///
/// # Errors
/// `Undecodable`.
pub(super) fn decode(mut bytes: &[u8], start: u64, mut see: impl FnMut(&str, Extremes)) -> Result<(), StoreError> {
    let bad = || StoreError::undecodable("a block of a series");
    while !bytes.is_empty() {
        let mut one = || -> Option<()> {
            let length = usize::try_from(take(&mut bytes)?).ok()?;
            let (name, rest) = bytes.split_at_checked(length)?;
            bytes = rest;
            let count = take(&mut bytes)?;
            let mut steps = [0; 4];
            for step in &mut steps {
                *step = start.checked_add(take(&mut bytes)?)?;
            }
            let not_a_number = match take(&mut bytes)? {
                0 => None,
                more => Some(start.checked_add(more - 1)?),
            };
            let [first, last, low, high] = steps.map(|train_step| Point { train_step, value: 0.0 });
            let mut points = [first, last, low, high];
            for point in &mut points {
                let (value, rest) = bytes.split_first_chunk::<8>()?;
                (point.value, bytes) = (f64::from_le_bytes(*value), rest);
            }
            let [first, last, low, high] = points;
            see(std::str::from_utf8(name).ok()?, Extremes { first, last, low, high, not_a_number, count });
            Some(())
        };
        one().ok_or_else(bad)?;
    }
    Ok(())
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if part << shift >> shift != part {
            return None;
        }
        number |= part << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn decoded(bytes: &[u8], start: u64) -> Result<String, StoreError> {
        let mut text = String::new();
        decode(bytes, start, |name, extremes| text.push_str(&format!("{name} {extremes:?}\n")))?;
        Ok(text)
    }

    #[test]
    fn a_block_is_read_as_it_was_written() {
        let row = |values: &[(&'static str, f64)]| -> Vec<(Cow<'static, str>, f64)> {
            values.iter().map(|(name, value)| (Cow::Borrowed(*name), *value)).collect()
        };
        let far = u64::MAX / 2;
        let mut block = Block::of_row(7, &row(&[("loss", 1.5), ("norm/layer.1", 1e300)]));
        block.add_row(8, &row(&[("loss", f64::NAN), ("", -0.0)]));
        block.add_row(far, &row(&[("loss", -2.0), ("only", f64::INFINITY)]));
        let (plain, layered) = encode(&block);
        let mut shown = String::new();
        for (name, extremes) in block.names.iter().filter(|(name, _)| !name.contains('/')) {
            shown.push_str(&format!("{name} {extremes:?}\n"));
        }
        assert_eq!(decoded(&plain, 7).unwrap(), shown);
        assert!(decoded(&layered, 7).unwrap().starts_with("norm/layer.1 Extremes"));
        assert_eq!(decoded(&[], 0).unwrap(), "");
        for end in 1..plain.len() {
            // Either a whole number of names, or a refusal; never a panic.
            let _ = decoded(&plain[..end], 7);
            let _ = decoded(&plain[end..], u64::MAX);
        }
        assert!(decoded(&plain[..plain.len() - 1], 7).is_err());
        assert!(decoded(&[0xff; 40], 7).is_err());
    }
}
