//! Works on items in parallel and takes the results in order. While one batch is worked on, the next is read and the
//! results of the last are taken, so that neither core waits for the disk.

use rayon::prelude::*;

use crate::handler::{StepContext, StepError};
use stepwell_base::failure::Failure;

/// Text in one batch. Three batches are in memory at once.
pub const BATCH_BYTES: usize = 2 << 20;

/// Items that are read at once, and the bytes read up to their end.
pub struct Batch<T> {
    pub items: Vec<T>,
    pub done: u64,
}

/// # Errors
/// The first failure in the order of the items; `Interrupted` between two batches.
pub fn pipeline<I: Sync + Send, O: Send>(
    context: &mut StepContext<'_>,
    (total, message): (u64, &str),
    mut read: impl FnMut() -> Result<Batch<I>, Failure> + Send,
    work: impl Fn(I) -> Result<O, Failure> + Sync + Send,
    mut take: impl FnMut(O) -> Result<(), Failure> + Send,
) -> Result<(), StepError> {
    let mut results: Vec<O> = Vec::new();
    let mut batch = read()?;
    loop {
        let is_last = batch.items.is_empty();
        context.report(batch.done.min(total), total, "bytes", message)?;
        let items = std::mem::take(&mut batch.items);
        let (worked, (taken, next)) = rayon::join(
            || items.into_par_iter().map(&work).collect::<Vec<_>>(),
            || (results.drain(..).try_for_each(&mut take), if is_last { None } else { Some(read()) }),
        );
        taken?;
        results = worked.into_iter().collect::<Result<_, _>>()?;
        match next {
            Some(next) => batch = next?,
            None => return Ok(()),
        }
    }
}
