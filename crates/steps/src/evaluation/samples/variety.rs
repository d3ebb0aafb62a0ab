//! Measures of the variety of generated text, over token ids.

use std::collections::HashSet;

/// Share of distinct n-grams among all n-grams of all samples (distinct-n, Li et al. 2016); 0 without n-grams.
pub fn distinct(samples: &[Vec<u32>], n: usize) -> f64 {
    let all = || samples.iter().flat_map(|sample| sample.windows(n));
    share(all().collect::<HashSet<_>>().len(), all().count())
}

/// Share of n-grams that occurred earlier in the same sample, as the mean over samples (seq-rep-n, Welleck et al.
/// 2020). Samples shorter than `n` repeat nothing.
pub fn repeated(samples: &[Vec<u32>], n: usize) -> f64 {
    let of_sample = |sample: &Vec<u32>| {
        let all = sample.windows(n).count();
        share(all - sample.windows(n).collect::<HashSet<_>>().len(), all)
    };
    if samples.is_empty() { 0.0 } else { samples.iter().map(of_sample).sum::<f64>() / samples.len() as f64 }
}

/// Tokens of the longest sequence that occurs twice in one sample; the two may overlap.
pub fn longest_repeat(samples: &[Vec<u32>]) -> usize {
    samples.iter().map(|sample| longest_in(sample)).max().unwrap_or(0)
}

/// In the sorted list of suffixes, two that share their start are neighbours.
fn longest_in(sample: &[u32]) -> usize {
    let mut suffixes: Vec<&[u32]> = (0..sample.len()).map(|start| &sample[start..]).collect();
    suffixes.sort_unstable();
    let shared = |pair: &[&[u32]]| pair[0].iter().zip(pair[1]).take_while(|(one, other)| one == other).count();
    suffixes.windows(2).map(shared).max().unwrap_or(0)
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_counted_by_hand() {
        let samples = [vec![1, 2, 1, 2], vec![3]];
        assert!((distinct(&samples, 1) - 3.0 / 5.0).abs() < 1e-12);
        assert!((distinct(&samples, 2) - 2.0 / 3.0).abs() < 1e-12);
        assert!((repeated(&samples, 2) - (1.0 / 3.0) / 2.0).abs() < 1e-12);
        let loops = [vec![1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4]];
        assert!((repeated(&loops, 4) - 5.0 / 9.0).abs() < 1e-12);
        assert_eq!((distinct(&[], 1), repeated(&[], 4), repeated(&[vec![1]], 4)), (0.0, 0.0, 0.0));
    }

    #[test]
    fn the_longest_repeat_is_within_one_sample_and_may_overlap() {
        assert_eq!(longest_repeat(&[vec![1, 2, 3, 9, 1, 2, 3], vec![1, 2, 3, 9, 1]]), 3);
        assert_eq!(longest_repeat(&[vec![7; 10]]), 9);
        assert_eq!(longest_repeat(&[vec![1, 2, 3], vec![1, 2, 3]]), 0);
        assert_eq!(longest_repeat(&[vec![], vec![1]]), 0);
        assert_eq!(longest_repeat(&[]), 0);
    }
}
