//! Sampling of the next token.

use super::options::SamplingOptions;
use crate::cpu::{Instructions, LANES, exp, kernel};
use crate::kernels::largest;
use stepwell_base::rng::Rng;

/// Draws a token, or takes the likeliest one at temperature 0. `None` if no score is finite, or one is NaN.
pub fn choose(instructions: Instructions, scores: &[f32], options: &SamplingOptions, rng: &mut Rng) -> Option<u32> {
    let likeliest = largest(instructions, scores);
    let best = scores[likeliest];
    if !best.is_finite() {
        return None;
    }
    let inverse_temperature = 1.0 / options.temperature;
    // A temperature below 2.9e-39 has no inverse in f32. Long before that, only the likeliest token has a chance.
    if inverse_temperature.is_infinite() {
        return Some(likeliest as u32);
    }
    let mut weights = vec![0.0; scores.len()];
    let total = scaled_exponentials(instructions, &mut weights, scores, best, inverse_temperature, options.min_p);
    if options.top_k.is_none() && options.top_p >= 1.0 {
        return Some(draw(weights.iter().enumerate().map(|(id, weight)| (id as u32, *weight)), total, rng));
    }
    let ranked = ranked(&weights, scores, options, total);
    let total = ranked.iter().map(|(_, weight)| f64::from(*weight)).sum();
    Some(draw(ranked.into_iter(), total, rng))
}

/// Draws one of the ids by their weights, which sum to `total`.
fn draw(weights: impl Iterator<Item = (u32, f32)>, total: f64, rng: &mut Rng) -> u32 {
    let mut point = rng.uniform() * total;
    let mut last = 0;
    for (id, weight) in weights.filter(|(_, weight)| *weight > 0.0) {
        last = id;
        point -= f64::from(weight);
        if point < 0.0 {
            break;
        }
    }
    // Rounding may leave a point past the last weight.
    last
}

/// Tokens by descending score, equal ones by id, cut after `top_k` and `top_p`.
fn ranked(weights: &[f32], scores: &[f32], options: &SamplingOptions, total: f64) -> Vec<(u32, f32)> {
    let most = options.top_k.unwrap_or(scores.len()).min(scores.len());
    let mut keys: Vec<u64> = (0..).zip(scores).map(|(id, score)| u64::from(descending(*score)) << 32 | id).collect();
    let mut total = total;
    if most < keys.len() {
        keys.select_nth_unstable(most);
        keys.truncate(most);
        keys.sort_unstable();
        total = keys.iter().map(|key| f64::from(weights[*key as u32 as usize])).sum();
    }
    let mut missing = f64::from(options.top_p) * total;
    let mut kept = Vec::new();
    let mut sorted = 0;
    while kept.len() < keys.len() && (missing > 0.0 || options.top_p >= 1.0) {
        if kept.len() == sorted {
            // Few tokens are needed as a rule, so only the first ones are sorted.
            let count = (4 * sorted).max(32).min(keys.len());
            let rest = &mut keys[sorted..];
            if count - sorted < rest.len() {
                rest.select_nth_unstable(count - sorted);
            }
            rest[..count - sorted].sort_unstable();
            sorted = count;
        }
        let id = keys[kept.len()] as u32;
        let weight = weights[id as usize];
        kept.push((id, weight));
        missing -= f64::from(weight);
    }
    kept
}

/// Maps a score to an integer in the descending order of [`f32::total_cmp`].
pub(super) fn descending(score: f32) -> u32 {
    let bits = score.to_bits();
    if bits >> 31 == 1 { bits } else { !(bits | 1 << 31) }
}

kernel! {
    /// Sets each weight to `exp((score - best) * inverse_temperature)`, or 0 if that is less than `least`; returns their
    /// sum.
    fn scaled_exponentials<'a>(
        weights: &'a mut [f32], scores: &'a [f32], best: f32, inverse_temperature: f32, least: f32,
    ) -> f64 {
        for (weight, score) in weights.iter_mut().zip(scores) {
            let value = exp((score - best) * inverse_temperature);
            let banned = *score == f32::NEG_INFINITY || value < least;
            *weight = if banned { 0.0 } else { value };
        }
        let mut sums = [0.0f64; LANES];
        let (blocks, rest) = weights.as_chunks::<LANES>();
        for block in blocks {
            for lane in 0..LANES {
                sums[lane] += f64::from(block[lane]);
            }
        }
        for (sum, weight) in sums.iter_mut().zip(rest) {
            *sum += f64::from(*weight);
        }
        sums.into_iter().fold(0.0, |total, sum| total + sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwell_base::rng::derive_seed;

    fn drawn(scores: &[f32], options: &SamplingOptions, seed: u64) -> Option<u32> {
        choose(Instructions::all()[0], scores, options, &mut Rng::new(derive_seed(seed, "test", 0)))
    }

    #[test]
    fn draws_follow_the_distribution_within_the_cuts() {
        let scores = [0.0, 2f32.ln(), 4f32.ln(), 3f32.ln()];
        let near = |options: &SamplingOptions, shares: [f64; 4]| {
            let mut counts = [0usize; 4];
            for seed in 0..8000 {
                counts[drawn(&scores, options, seed).unwrap() as usize] += 1;
            }
            for (count, share) in counts.into_iter().zip(shares) {
                assert!((count as f64 / 8000.0 - share).abs() < 0.02, "{counts:?} is not {shares:?}");
            }
        };
        let options = SamplingOptions::default();
        near(&options, [0.1, 0.2, 0.4, 0.3]);
        near(&SamplingOptions { top_k: Some(2), ..options.clone() }, [0.0, 0.0, 4.0 / 7.0, 3.0 / 7.0]);
        near(&SamplingOptions { top_p: 0.65, ..options.clone() }, [0.0, 0.0, 4.0 / 7.0, 3.0 / 7.0]);
        near(&SamplingOptions { min_p: 0.5, ..options.clone() }, [0.0, 2.0 / 9.0, 4.0 / 9.0, 3.0 / 9.0]);
        near(&SamplingOptions { top_k: Some(3), min_p: 0.6, ..options.clone() }, [0.0, 0.0, 4.0 / 7.0, 3.0 / 7.0]);
        near(&SamplingOptions { temperature: 0.5, ..options }, [1.0, 4.0, 16.0, 9.0].map(|x| x / 30.0));
    }

    /// Uses more tokens than the first sort.
    #[test]
    fn a_draw_is_that_of_all_tokens_in_order() {
        let mut rng = Rng::new(1);
        for seed in 0..300u64 {
            let scores: Vec<f32> = (0..500).map(|_| rng.normal() as f32 * 2.0).collect();
            let options = SamplingOptions {
                temperature: 0.5 + rng.uniform() as f32,
                top_k: [None, Some(5), Some(100)][seed as usize % 3],
                top_p: [0.95, 0.9][seed as usize % 2],
                ..SamplingOptions::default()
            };
            assert_eq!(drawn(&scores, &options, seed), Some(simple(&scores, &options, seed)), "{seed}");
        }
    }

    /// The same draw, implemented in the simplest way.
    fn simple(scores: &[f32], options: &SamplingOptions, seed: u64) -> u32 {
        let mut ranked: Vec<u32> = (0..scores.len() as u32).collect();
        ranked.sort_by(|a, b| scores[*b as usize].total_cmp(&scores[*a as usize]));
        ranked.truncate(options.top_k.unwrap_or(ranked.len()));
        let exp = |id: &u32| f64::from(scores[*id as usize] / options.temperature).exp();
        let mut weights: Vec<f64> = ranked.iter().map(exp).collect();
        let all: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let kept = weights.iter().take_while(|weight| {
            sum += **weight;
            sum - **weight < f64::from(options.top_p) * all
        });
        weights.truncate(kept.count());
        let point = Rng::new(derive_seed(seed, "test", 0)).uniform() * weights.iter().sum::<f64>();
        let below = (0..weights.len()).take_while(|last| weights[..=*last].iter().sum::<f64>() <= point);
        ranked[below.count()]
    }

    #[test]
    fn the_smallest_temperatures_take_the_likeliest_token_and_banned_ones_are_never_drawn() {
        let scores = [0.5, f32::NEG_INFINITY, 9.0, 8.99, -3.0, 7.0];
        let options = |temperature| SamplingOptions { temperature, ..SamplingOptions::default() };
        for temperature in [0.0, f32::from_bits(1), 1e-40, f32::MIN_POSITIVE, 1e-30, 1e-6] {
            assert!((0..50).all(|seed| drawn(&scores, &options(temperature), seed) == Some(2)), "{temperature:e}");
        }
        let all: std::collections::BTreeSet<u32> =
            (0..300).filter_map(|seed| drawn(&scores, &options(100.0), seed)).collect();
        assert_eq!(all.into_iter().collect::<Vec<u32>>(), [0, 2, 3, 4, 5]);
    }

    #[test]
    fn scores_that_are_no_numbers_give_no_token() {
        let options = SamplingOptions::default();
        for scores in [[f32::NAN, 1.0], [f32::NEG_INFINITY; 2], [f32::INFINITY, 0.0]] {
            assert_eq!(drawn(&scores, &options, 1), None);
        }
    }
}
