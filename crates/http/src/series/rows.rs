//! Reads the rows of a short range as they are.

use std::collections::HashMap;

use super::block::{Extremes, Point};
use super::summary::{Place, Range};
use crate::problem::Problem;
use stepwell_store::Reader;

/// Appends the values of a range to the pieces of their names.
///
/// # Errors
/// When the rows cannot be read.
pub fn rows(
    reader: &Reader,
    Place { run, step }: &Place,
    range: Range,
    found: &mut [(String, Vec<Extremes>)],
) -> Result<(), Problem> {
    let names: Vec<String> = found.iter().map(|(name, _)| name.clone()).collect();
    let index: HashMap<&str, usize> = names.iter().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
    reader.each_series_row((*run, step), (range.after, range.up_to), |mark, values| {
        for (name, value) in values {
            if let Some(index) = index.get(name.as_ref()) {
                found[*index].1.push(Extremes::of(Point { train_step: mark.train_step, value: *value }));
            }
        }
    })?;
    Ok(())
}
