//! Weights of tokens in the loss, from what a phase says about rare tokens and punctuation.

use std::sync::Arc;

use crate::text_codec::TextCodec;
use stepwell_base::failure::Failure;
use stepwell_train::data::Sampler;
use stepwell_train::training::TokenWeights;
use stepwell_train::training::phase::LossWeights;
use stepwell_train::training::plan::Plan;

/// Makes the table of each phase; `None` where all tokens weigh the same. Reads the token files of phases that weigh
/// rare tokens.
///
/// # Errors
/// When no token that a phase is trained on has a weight.
pub fn token_weights(plan: &Plan, samplers: &[Sampler], tokenizer: &TextCodec) -> Result<Vec<TokenWeights>, Failure> {
    let is_plain = |weights: &LossWeights| weights.rare == 1.0 && weights.punctuation == 1.0;
    let table = |(phase, sampler): (&_, &Sampler)| -> Result<TokenWeights, Failure> {
        let stepwell_train::training::phase::Phase { name, loss_weights, .. } = phase;
        let Some(weights) = loss_weights.filter(|weights| !is_plain(weights)) else { return Ok(None) };
        let shares = sampler.token_shares();
        let table = table(weights, &shares, tokenizer)?;
        if table.iter().zip(&shares).all(|(weight, share)| *weight == 0.0 || *share == 0.0) {
            let message = format!("phase `{name}`: the loss weights of all its tokens sum to zero");
            return Err(Failure::fatal(message).with_hint("weights above 0 keep some tokens in the loss"));
        }
        Ok(Some(table))
    };
    plan.phases.iter().zip(samplers).map(table).collect()
}

fn table(weights: LossWeights, shares: &[f64], tokenizer: &TextCodec) -> Result<Arc<[f32]>, Failure> {
    let weight = |(token, share): (u32, &f64)| -> Result<f32, Failure> {
        let rare = if *share < weights.rare_below { weights.rare } else { 1.0 };
        let punctuation = match weights.punctuation {
            1.0 => 1.0,
            weight if is_punctuation(&tokenizer.decode(&[token])?) => weight,
            _ => 1.0,
        };
        Ok((rare * punctuation) as f32)
    };
    (0..).zip(shares).map(weight).collect()
}

/// True for a text of punctuation, with spaces around it or without.
fn is_punctuation(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && text.chars().all(is_mark)
}

/// ASCII punctuation, general punctuation, the signs of CJK, and the marks of other languages in Latin-1.
fn is_mark(char: char) -> bool {
    let is_general = matches!(char, '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}' | '\u{3001}'..='\u{3011}');
    char.is_ascii_punctuation()
        || is_general
        || matches!(char, '\u{a1}' | '\u{a7}' | '\u{ab}' | '\u{b6}' | '\u{b7}' | '\u{bb}' | '\u{bf}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::TrainingLab;

    #[test]
    fn punctuation_is_marks_and_nothing_else() {
        for (text, is_it) in [(".", true), (" ,", true), ("...\"", true), ("\u{2014}", true), ("\u{bf}", true)] {
            assert_eq!(is_punctuation(text), is_it, "{text:?}");
        }
        for text in ["", " ", "a.", "1", "\n", "\u{fffd}", "\u{e9}"] {
            assert!(!is_punctuation(text), "{text:?}");
        }
    }

    #[test]
    fn rare_punctuation_has_both_weights() {
        let lab = TrainingLab::new();
        let codec = TextCodec::load(&lab.artifacts.read(&lab.tokenizer).unwrap()).unwrap();
        let id = |text: &str| codec.encode(&[text]).unwrap()[0][0] as usize;
        let (dot, bang, letter) = (id("."), id("!"), id("T"));
        let mut shares = vec![0.5; codec.vocab() as usize];
        shares[bang] = 1e-6;
        let weights = LossWeights { rare: 3.0, rare_below: 1e-4, punctuation: 0.5 };
        let table = table(weights, &shares, &codec).unwrap();
        assert_eq!((table[dot], table[bang], table[letter]), (0.5, 1.5, 1.0));
        assert_eq!(table[codec.special.eos_token_id as usize], 1.0);
    }
}
