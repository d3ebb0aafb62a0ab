//! Works on items in parallel and takes the results in order. While one batch is worked on, the next is read and the
//! results of the last are taken, so that neither core waits for the disk.

use rayon::prelude::*;

use crate::handler::{StepContext, StepError};
use stepwell_base::failure::Failure;

/// Takes results in order.
pub trait Taker<O>: Send {
    fn take(&mut self, result: O) -> Result<(), Failure>;

    /// Called between two batches: a good time to make durable what was taken.
    fn between(&mut self, _next: Next) -> Result<(), Failure> {
        Ok(())
    }
}

/// Continuation of the work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    Batch,
    /// The attempt is asked to stop.
    Stop,
}

/// Takes results by a function alone.
struct Plain<F>(F);

impl<O, F: FnMut(O) -> Result<(), Failure> + Send> Taker<O> for Plain<F> {
    fn take(&mut self, result: O) -> Result<(), Failure> {
        (self.0)(result)
    }
}

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
    progress: (u64, &str),
    read: impl FnMut() -> Result<Batch<I>, Failure> + Send,
    work: impl Fn(I) -> Result<O, Failure> + Sync + Send,
    take: impl FnMut(O) -> Result<(), Failure> + Send,
) -> Result<(), StepError> {
    pipeline_to(context, progress, read, work, &mut Plain(take))
}

/// Like [`pipeline`], for a taker that also wants to know of the time between two batches.
pub fn pipeline_to<I: Sync + Send, O: Send>(
    context: &mut StepContext<'_>,
    (total, message): (u64, &str),
    mut read: impl FnMut() -> Result<Batch<I>, Failure> + Send,
    work: impl Fn(I) -> Result<O, Failure> + Sync + Send,
    taker: &mut impl Taker<O>,
) -> Result<(), StepError> {
    let mut results: Vec<O> = Vec::new();
    let mut batch = read()?;
    loop {
        let is_last = batch.items.is_empty();
        let reported = context.report(batch.done.min(total), total, "bytes", message);
        taker.between(if reported.is_ok() { Next::Batch } else { Next::Stop })?;
        reported?;
        let items = std::mem::take(&mut batch.items);
        let (worked, (taken, next)) = rayon::join(
            || items.into_par_iter().map(&work).collect::<Vec<_>>(),
            || (results.drain(..).try_for_each(|result| taker.take(result)), if is_last { None } else { Some(read()) }),
        );
        taken?;
        results = worked.into_iter().collect::<Result<_, _>>()?;
        match next {
            Some(next) => batch = next?,
            None => return Ok(()),
        }
    }
}
