//! Minimal pairs (Warstadt et al. 2020): two sentences that differ in one grammatical point. A model is right when
//! it finds the good sentence likelier; a tie is wrong.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::text_codec::TextCodec;
use stepwell_base::failure::Failure;

#[derive(Deserialize)]
struct Line {
    phenomenon: String,
    good: String,
    bad: String,
}

/// One pair, each sentence as `BOS sentence EOS`.
#[derive(Clone, PartialEq, Debug)]
pub struct Pair {
    pub phenomenon: String,
    pub good: Vec<u32>,
    pub bad: Vec<u32>,
}

/// Number of pairs judged right, out of all pairs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Score {
    pub right: u64,
    pub of: u64,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Scores {
    pub overall: Score,
    pub phenomena: BTreeMap<String, Score>,
}

/// Reads pairs from NDJSON. A sentence may have up to `longest` tokens, including BOS and EOS.
///
/// # Errors
/// When a line is not a pair, or a sentence is too long. The message names the line.
pub fn read(ndjson: &[u8], codec: &TextCodec, longest: usize) -> Result<Vec<Pair>, Failure> {
    let mut pairs = Vec::new();
    for (number, line) in ndjson.split(|byte| *byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let number = number + 1;
        let Line { phenomenon, good, bad } = serde_json::from_slice(line)
            .map_err(|error| Failure::fatal(format!("minimal pairs, line {number}: {error}")))?;
        let [good, bad] = [good, bad].map(|sentence| sequence(codec, &sentence));
        let pair = Pair { phenomenon, good: good?, bad: bad? };
        let length = pair.good.len().max(pair.bad.len());
        if length > longest {
            let message =
                format!("minimal pairs, line {number}: a sentence has {length} tokens, the model sees {longest}");
            return Err(Failure::fatal(message).with_hint("shorten the sentence or train with a longer `context`"));
        }
        pairs.push(pair);
    }
    Ok(pairs)
}

fn sequence(codec: &TextCodec, sentence: &str) -> Result<Vec<u32>, Failure> {
    let text = codec.encode(&[sentence])?.into_iter().flatten();
    let special = codec.special;
    Ok(std::iter::once(special.bos_token_id).chain(text).chain([special.eos_token_id]).collect())
}

/// Scores pairs by the negative log-likelihoods of their good and bad sentences. Ties and NaN are wrong.
pub fn score(pairs: &[Pair], nats: impl IntoIterator<Item = (f64, f64)>) -> Scores {
    let mut scores = Scores::default();
    for (pair, (good, bad)) in pairs.iter().zip(nats) {
        let right = u64::from(pair.good != pair.bad && good < bad);
        let phenomenon = scores.phenomena.entry(pair.phenomenon.clone()).or_default();
        for score in [phenomenon, &mut scores.overall] {
            score.right += right;
            score.of += 1;
        }
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(phenomenon: &str, good: u32, bad: u32) -> Pair {
        Pair { phenomenon: phenomenon.to_owned(), good: vec![0, good, 1], bad: vec![0, bad, 1] }
    }

    #[test]
    fn ties_and_nonsense_are_wrong() {
        let pairs = [pair("a", 5, 6), pair("a", 5, 7), pair("b", 5, 8), pair("b", 5, 9), pair("b", 5, 5)];
        let nats = [(1.0, 2.0), (2.0, 2.0), (3.0, 2.0), (f64::NAN, 2.0), (1.0, 2.0)];
        let scores = score(&pairs, nats);
        assert_eq!(scores.overall, Score { right: 1, of: 5 });
        assert_eq!(scores.phenomena["a"], Score { right: 1, of: 2 });
        assert_eq!(scores.phenomena["b"], Score { right: 0, of: 3 });
    }
}
