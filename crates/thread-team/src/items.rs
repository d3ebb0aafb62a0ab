//! Work on each item of a sequence.

use std::sync::{Mutex, PoisonError};

use super::{Protocol, Team};

impl<P: Protocol> Team<P> {
    /// Runs `work` for each of `items` on all threads; a thread that finishes an item takes the next.
    ///
    /// Nested calls, and calls while another caller shares work, run on the calling thread alone.
    ///
    /// # Panics
    /// When `work` panics in any thread.
    pub fn each<I>(&self, items: I, work: impl Fn(I::Item) + Sync)
    where
        I: IntoIterator<IntoIter: Send>,
    {
        let items = items.into_iter();
        if items.size_hint().1.is_some_and(|most| most <= 1) {
            return items.for_each(work);
        }
        let items = Mutex::new(items);
        // A closure, because a lock taken in the loop's head would be held during the body.
        let next = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
        self.share(&|| {
            while let Some(item) = next() {
                work(item);
            }
        });
    }

    /// [`Team::each`], collecting the results in the order of the items.
    ///
    /// # Panics
    /// When `work` panics in any thread.
    pub fn map<I, R: Send>(&self, items: I, work: impl Fn(I::Item) -> R + Sync) -> Vec<R>
    where
        I: IntoIterator<IntoIter: Send>,
    {
        let results = Mutex::new(Vec::new());
        self.each(items.into_iter().enumerate(), |(index, item)| {
            let result = work(item);
            results.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
        });
        let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results.sort_unstable_by_key(|(index, _)| *index);
        results.into_iter().map(|(_, result)| result).collect()
    }
}
