//! Sampling of the next token.

use super::options::GenerateOptions;
use crate::cpu::simd::{LANES, exp, kernel};
use stepwell_base::rng::Rng;

/// Draws the next token, or takes the likeliest one at temperature 0. `scores` holds one logit per token, and
/// possibly more for rows that pad the embedding.
pub fn sample(scores: &[f32], options: &GenerateOptions, rng: &mut Rng) -> u32 {
    let GenerateOptions { temperature, top_k, top_p, tokens, .. } = *options;
    let scores = &scores[..tokens.min(scores.len())];
    let inverse_temperature = 1.0 / temperature;
    // A temperature below 2.9e-39 has no inverse in f32. Long before that, only the likeliest token has a chance.
    if inverse_temperature.is_infinite() {
        return likeliest(scores);
    }
    let mut weights = vec![0.0; scores.len()];
    let best = scores[likeliest(scores) as usize];
    let mut total = scaled_exponentials(&mut weights, scores, best, inverse_temperature);
    let mut ranking = Ranking::new(scores);
    let mut kept = scores.len();
    let weight = |id: u32| f64::from(weights[id as usize]);
    if let Some(top_k) = top_k.filter(|top_k| *top_k < kept) {
        kept = top_k;
        total = (0..kept).map(|rank| weight(ranking.id(rank))).sum();
    }
    if let Some(top_p) = top_p {
        let mut missing = f64::from(top_p) * total;
        let last = (0..kept).find(|rank| {
            missing -= weight(ranking.id(*rank));
            missing <= 0.0
        });
        kept = last.map_or(kept, |last| last + 1);
        total = (0..kept).map(|rank| weight(ranking.id(rank))).sum();
    }
    let mut point = rng.uniform() * total;
    let drawn = (0..kept).find(|rank| {
        point -= weight(ranking.id(*rank));
        point < 0.0
    });
    // Rounding may leave a point past the last weight.
    ranking.id(drawn.unwrap_or(kept - 1))
}

/// Maps a score to an integer in the order of [`f32::total_cmp`].
#[inline(always)]
fn order(score: f32) -> i32 {
    let bits = score.to_bits().cast_signed();
    bits ^ ((bits >> 31).cast_unsigned() >> 1).cast_signed()
}

kernel! {
    /// Index of the largest score; the first one among equals.
    fn likeliest<'a>(scores: &'a [f32]) -> u32 {
        let mut largest = i32::MIN;
        for score in scores {
            let order = order(*score);
            largest = if order > largest { order } else { largest };
        }
        let mut index = 0;
        for score in scores {
            if order(*score) == largest {
                break;
            }
            index += 1;
        }
        index
    }
}

kernel! {
    /// Sets each weight to `exp((score - best) * inverse_temperature)` and returns their sum.
    fn scaled_exponentials<'a>(weights: &'a mut [f32], scores: &'a [f32], best: f32, inverse_temperature: f32) -> f64 {
        for (weight, score) in weights.iter_mut().zip(scores) {
            *weight = exp((score - best) * inverse_temperature);
        }
        let mut sums = [0.0f64; LANES];
        let (blocks, rest) = weights.as_chunks::<LANES>();
        for block in blocks {
            for lane in 0..LANES {
                sums[lane] += f64::from(block[lane]);
            }
        }
        for (lane, weight) in rest.iter().enumerate() {
            sums[lane] += f64::from(*weight);
        }
        let mut total = 0.0;
        for sum in sums {
            total += sum;
        }
        total
    }
}

/// Tokens by descending score, equal scores by id. Callers ask for few ranks, so only the first ones are sorted.
struct Ranking {
    /// Sort keys: the complement of the score's order in the upper 32 bits, the id in the lower 32.
    keys: Vec<u64>,
    /// Number of leading keys that are in their final order.
    sorted: usize,
}

impl Ranking {
    fn new(scores: &[f32]) -> Self {
        let mut keys = vec![0; scores.len()];
        rank_keys(&mut keys, scores);
        Ranking { keys, sorted: 0 }
    }

    fn id(&mut self, rank: usize) -> u32 {
        /// Tokens that the first call sorts.
        const FIRST_SORT: usize = 32;
        if rank >= self.sorted {
            let count = (rank + 1).max(4 * self.sorted).max(FIRST_SORT).min(self.keys.len());
            let rest = &mut self.keys[self.sorted..];
            let more = count - self.sorted;
            if more < rest.len() {
                rest.select_nth_unstable(more);
            }
            rest[..more].sort_unstable();
            self.sorted = count;
        }
        self.keys[rank] as u32
    }
}

kernel! {
    fn rank_keys<'a>(keys: &'a mut [u64], scores: &'a [f32]) -> () {
        for (id, (key, score)) in keys.iter_mut().zip(scores).enumerate() {
            let descending = !(order(*score).cast_unsigned() ^ (1 << 31));
            *key = u64::from(descending) << 32 | id as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwell_base::rng::derive_seed;

    /// Every kind of score that can be ranked, in descending order, with ties.
    const ODD: [f32; 8] = [f32::NAN, f32::INFINITY, 2.0, 2.0, 0.0, -0.0, -1e-40, f32::NEG_INFINITY];

    #[test]
    fn tokens_are_ranked_by_score_and_then_by_id() {
        let mut rng = Rng::new(7);
        for count in [1, 8, 31, 200, 1000] {
            let scores: Vec<f32> = (0..count).map(|_| ODD[rng.below(8) as usize] + rng.below(3) as f32).collect();
            let mut expected: Vec<u32> = (0..count).collect();
            expected.sort_by(|a, b| scores[*b as usize].total_cmp(&scores[*a as usize]));
            assert_eq!(likeliest(&scores), expected[0]);
            let mut ranking = Ranking::new(&scores);
            assert_eq!((0..count as usize).map(|rank| ranking.id(rank)).collect::<Vec<u32>>(), expected);
            assert_eq!(Ranking::new(&scores).id(count as usize / 2), expected[count as usize / 2]);
        }
        let mut ranking = Ranking::new(&ODD);
        assert_eq!((0..8).map(|rank| ranking.id(rank)).collect::<Vec<u32>>(), (0..8).collect::<Vec<u32>>());
    }

    /// Uses more tokens than the first call sorts.
    #[test]
    fn a_draw_is_that_of_all_tokens_in_order() {
        let mut rng = Rng::new(1);
        for seed in 0..300 {
            let scores: Vec<f32> = (0..500).map(|_| rng.normal() as f32 * 2.0).collect();
            let options = GenerateOptions {
                temperature: 0.5 + rng.uniform() as f32,
                top_k: [None, Some(5), Some(100)][seed % 3],
                top_p: [None, Some(0.9)][seed % 2],
                ..GenerateOptions::default()
            };
            let found = sample(&scores, &options, &mut Rng::new(seed as u64));
            assert_eq!(found, draw(&scores, &options, &mut Rng::new(seed as u64)), "{seed}");
        }
    }

    /// The same draw, implemented in the simplest way.
    fn draw(scores: &[f32], options: &GenerateOptions, rng: &mut Rng) -> u32 {
        let mut ranked: Vec<u32> = (0..scores.len() as u32).collect();
        ranked.sort_by(|a, b| scores[*b as usize].total_cmp(&scores[*a as usize]));
        ranked.truncate(options.top_k.unwrap_or(ranked.len()));
        let exp = |id: &u32| f64::from(scores[*id as usize] / options.temperature).exp();
        let mut weights: Vec<f64> = ranked.iter().map(exp).collect();
        let all: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let share = f64::from(options.top_p.unwrap_or(1.0));
        let kept = weights.iter().take_while(|weight| {
            sum += **weight;
            sum - **weight < share * all
        });
        weights.truncate(kept.count());
        let point = rng.uniform() * weights.iter().sum::<f64>();
        let below = (0..weights.len()).take_while(|last| weights[..=*last].iter().sum::<f64>() <= point);
        ranked[below.count()]
    }

    #[test]
    fn every_temperature_has_a_draw_and_the_smallest_take_the_likeliest_token() {
        let scores = [0.5, -3.0, 9.0, 8.99, f32::MIN, 7.0];
        let drawn = |temperature, seed| {
            sample(&scores, &GenerateOptions { temperature, ..GenerateOptions::default() }, &mut Rng::new(seed))
        };
        for temperature in [0.0, -0.0, f32::from_bits(1), 1e-40, 2.9e-39, f32::MIN_POSITIVE, 1e-30, 1e-6] {
            assert!((0..50).all(|seed| drawn(temperature, seed) == 2), "{temperature:e}");
        }
        for temperature in [1e9, 1e38, f32::MAX] {
            let all: std::collections::BTreeSet<u32> = (0..200).map(|seed| drawn(temperature, seed)).collect();
            assert!([0, 1, 2, 3, 5].iter().all(|id| all.contains(id)), "{temperature:e}: {all:?}");
        }
    }

    #[test]
    fn every_share_and_count_has_a_draw() {
        let scores = [0.0, 3.0, 1.0];
        let drawn = |top_k, top_p| {
            let options = GenerateOptions { temperature: 1.0, top_k, top_p, ..GenerateOptions::default() };
            (0..100).map(|seed| sample(&scores, &options, &mut Rng::new(seed))).collect::<Vec<u32>>()
        };
        let free = drawn(None, None);
        for one in [drawn(Some(1), None), drawn(None, Some(f32::from_bits(1))), drawn(None, Some(f32::MIN_POSITIVE))] {
            assert!(one.iter().all(|id| *id == 1), "{one:?}");
        }
        for all in [drawn(Some(3), None), drawn(Some(usize::MAX), None), drawn(None, Some(1.0))] {
            assert_eq!(all, free);
        }
    }

    #[test]
    fn rows_that_pad_the_embedding_are_never_drawn() {
        let scores = [0.0, 1.0, 0.5, 50.0, f32::NAN];
        for temperature in [0.0, 1.0, 1e38] {
            let options = GenerateOptions { temperature, tokens: 3, ..GenerateOptions::default() };
            for seed in 0..100 {
                assert!(sample(&scores, &options, &mut Rng::new(seed)) < 3, "{temperature}");
            }
            let padded = sample(&scores, &options, &mut Rng::new(7));
            assert_eq!(padded, sample(&scores[..3], &options, &mut Rng::new(7)), "the draw of a model without them");
        }
    }

    #[test]
    fn draws_follow_the_distribution_within_top_k_and_top_p() {
        let scores = [0.0, 2f32.ln(), 4f32.ln(), 3f32.ln()];
        let count = |options: &GenerateOptions| {
            let mut counts = [0usize; 4];
            for seed in 0..8000 {
                counts[sample(&scores, options, &mut Rng::new(derive_seed(seed, "test", 0))) as usize] += 1;
            }
            counts
        };
        let options = GenerateOptions { temperature: 1.0, ..GenerateOptions::default() };
        let near = |counts: [usize; 4], shares: [f64; 4]| {
            for (count, share) in counts.into_iter().zip(shares) {
                assert!((count as f64 / 8000.0 - share).abs() < 0.02, "{counts:?} is not {shares:?}");
            }
        };
        near(count(&options), [0.1, 0.2, 0.4, 0.3]);
        near(count(&GenerateOptions { top_k: Some(2), ..options.clone() }), [0.0, 0.0, 4.0 / 7.0, 3.0 / 7.0]);
        near(count(&GenerateOptions { top_p: Some(0.65), ..options.clone() }), [0.0, 0.0, 4.0 / 7.0, 3.0 / 7.0]);
        near(count(&GenerateOptions { temperature: 0.5, ..options }), [1.0, 4.0, 16.0, 9.0].map(|x| x / 30.0));
    }
}
