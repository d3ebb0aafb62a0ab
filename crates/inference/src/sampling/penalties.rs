//! Changes of the scores before a token is chosen.

use std::collections::BTreeMap;

use super::options::SamplingOptions;

/// Tokens that a sequence has: those of the prompt with 0 occurrences in the text.
#[derive(Clone, Debug, Default)]
pub struct Seen(BTreeMap<u32, u32>);

impl Seen {
    /// Counts of a sequence; empty if no option needs them.
    pub fn of(options: &SamplingOptions, prompt: &[u32], text: &[u32]) -> Self {
        let mut seen = Seen::default();
        if options.repetition_penalty != 1.0 {
            seen.0.extend(prompt.iter().map(|token| (*token, 0)));
        }
        text.iter().for_each(|token| seen.add(options, *token));
        seen
    }

    /// Counts a token of the text.
    pub fn add(&mut self, options: &SamplingOptions, token: u32) {
        let penalties = (options.repetition_penalty, options.presence_penalty, options.frequency_penalty);
        if penalties != (1.0, 0.0, 0.0) {
            *self.0.entry(token).or_default() += 1;
        }
    }
}

/// Applies biases, then penalties, then bans.
pub fn adjust(scores: &mut [f32], options: &SamplingOptions, seen: &Seen, banned: &[u32]) {
    for (token, bias) in &options.logit_bias {
        scores[*token as usize] += bias;
    }
    for (token, count) in &seen.0 {
        let score = &mut scores[*token as usize];
        if *score > 0.0 {
            *score /= options.repetition_penalty;
        } else {
            *score *= options.repetition_penalty;
        }
        if *count > 0 {
            *score -= options.presence_penalty + options.frequency_penalty * *count as f32;
        }
    }
    for token in banned {
        scores[*token as usize] = f32::NEG_INFINITY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn penalties_follow_their_formulas() {
        let options = SamplingOptions {
            repetition_penalty: 2.0,
            presence_penalty: 0.5,
            frequency_penalty: 0.25,
            logit_bias: vec![(3, 10.0)],
            ..SamplingOptions::default()
        };
        let seen = Seen::of(&options, &[0, 1], &[1, 2, 2]);
        let mut scores = [4.0, -4.0, 4.0, 4.0, 4.0];
        adjust(&mut scores, &options, &seen, &[4]);
        assert_eq!(scores, [2.0, -8.0 - 0.75, 2.0 - 1.0, 14.0, f32::NEG_INFINITY]);
        let free = SamplingOptions::default();
        assert!(Seen::of(&free, &[0], &[1]).0.is_empty());
    }
}
