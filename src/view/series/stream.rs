//! Passes the rows of a series on, page by page, without loading all of them.

use std::ops::ControlFlow;

use super::lineage::Part;
use stepwell_base::protocol::Measurement;
use stepwell_store::{Reader, StoreError};

/// Rows that are read in one transaction.
const PAGE: usize = 20_000;

/// Passes the rows after `after` and up to `up_to` to `see`, in order, until it returns `Break`.
///
/// # Errors
/// `DamagedMetric`, and those of `see`.
pub fn each_row<E: From<StoreError>>(
    reader: &Reader,
    parts: &[Part],
    after: Option<u64>,
    up_to: u64,
    mut see: impl FnMut(Measurement) -> Result<ControlFlow<()>, E>,
) -> Result<(), E> {
    let mut after = after;
    'parts: for (index, part) in parts.iter().enumerate() {
        let mut last = part.up_to.unwrap_or(u64::MAX).min(up_to);
        // What a later part reports again replaces what is there.
        for later in &parts[index + 1..] {
            let Some(first) = reader.measured_from(later.run, &later.step)? else { continue };
            let Some(before) = first.checked_sub(1) else { continue 'parts };
            last = last.min(before);
        }
        loop {
            let (start, mut count, mut outcome) = (after, 0, Ok(ControlFlow::Continue(())));
            reader.each_measurement((part.run, &part.step), start, Some(last), |row| {
                (count, after) = (count + 1, Some(row.train_step));
                outcome = see(row);
                match outcome {
                    Ok(ControlFlow::Continue(())) if count < PAGE => ControlFlow::Continue(()),
                    _ => ControlFlow::Break(()),
                }
            })?;
            if outcome?.is_break() {
                return Ok(());
            }
            if count < PAGE {
                break;
            }
        }
    }
    Ok(())
}
