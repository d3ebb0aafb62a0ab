//! Results that threads fill part by part.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::slice;

use crate::cpu::thread_team;

/// Fills `len` elements in parts of `step`. `fill` gets the range of a part and its elements, which are 0. Also returns
/// the results of `fill`, in order.
///
/// The thread that fills a part also clears it, just before. Clearing the whole result first takes one thread about as
/// long as a cheap operation takes two.
pub fn in_parts<R: Send>(
    len: usize,
    step: usize,
    fill: impl Fn(Range<usize>, &mut [f32]) -> R + Sync,
) -> (Vec<f32>, Vec<R>) {
    let nothing = std::iter::repeat_n((), len.div_ceil(step));
    in_parts_with(len, step, nothing, |range, part, ()| fill(range, part))
}

/// [`in_parts`], where each part also gets its item of `items`.
#[expect(unsafe_code, reason = "elements are written before they are values")]
pub fn in_parts_with<T: Send, R: Send>(
    len: usize,
    step: usize,
    items: impl ExactSizeIterator<Item = T> + Send,
    fill: impl Fn(Range<usize>, &mut [f32], T) -> R + Sync,
) -> (Vec<f32>, Vec<R>) {
    let mut out = Vec::with_capacity(len);
    let parts = out.spare_capacity_mut()[..len].chunks_mut(step).enumerate();
    assert_eq!(parts.len(), items.len(), "one item per part");
    let results = thread_team::map(parts.zip(items), |((index, spare), item)| {
        spare.fill(MaybeUninit::new(0.0));
        // SAFETY: all these elements have just been written.
        let part = unsafe { slice::from_raw_parts_mut(spare.as_mut_ptr().cast::<f32>(), spare.len()) };
        fill(index * step..index * step + part.len(), part, item)
    });
    assert_eq!(results.len(), len.div_ceil(step), "each part was filled");
    // SAFETY: the parts cover the first `len` elements, and each was written.
    unsafe { out.set_len(len) }
    (out, results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_its_range_and_is_cleared() {
        let (values, found) = in_parts(10, 4, |range, part| {
            let before: f32 = part.iter().sum();
            part[0] = range.start as f32 + 1.0;
            (range, before)
        });
        assert_eq!(values, [1.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 9.0, 0.0]);
        assert_eq!(found, [(0..4, 0.0), (4..8, 0.0), (8..10, 0.0)]);
    }

    #[test]
    fn nothing_has_no_parts() {
        assert_eq!(in_parts(0, 4, |_, _| ()), (Vec::new(), Vec::new()));
    }
}
