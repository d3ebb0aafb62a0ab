//! A scorer for tests: a token is a character, and its likelihood follows from the one before it.

use super::scorer::{Prompt, Scorer, Sequence};
use crate::handler::{StepContext, StepError};
use stepwell_base::failure::Failure;

pub struct Letters {
    pub window: usize,
    /// Sequences and prompts that were asked for.
    pub asked: usize,
}

impl Default for Letters {
    fn default() -> Self {
        Letters { window: 1000, asked: 0 }
    }
}

const START: u32 = 0;

impl Scorer for Letters {
    fn window(&self) -> usize {
        self.window
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>, Failure> {
        Ok(std::iter::once(START).chain(self.encode_part(text)?).collect())
    }

    fn encode_part(&self, text: &str) -> Result<Vec<u32>, Failure> {
        Ok(text.chars().map(u32::from).collect())
    }

    fn start(&self) -> Option<u32> {
        Some(START)
    }

    /// A letter is likelier the nearer it is to the one before it.
    fn score(&mut self, context: &StepContext<'_>, sequences: Vec<Sequence>) -> Result<Vec<f64>, StepError> {
        context.check_interrupt()?;
        self.asked += sequences.len();
        let nats = |sequence: &Sequence| {
            let pairs = sequence.tokens[sequence.from - 1..].windows(2);
            pairs.map(|pair| f64::from(pair[0].abs_diff(pair[1])) / 7.0).sum()
        };
        Ok(sequences.iter().map(nats).collect())
    }

    /// Repeats the last word of the question.
    fn answer(&mut self, context: &StepContext<'_>, prompts: Vec<Prompt>) -> Result<Vec<String>, StepError> {
        context.check_interrupt()?;
        self.asked += prompts.len();
        let answer = |prompt: &Prompt| {
            let text: String = prompt.tokens.iter().skip(1).filter_map(|token| char::from_u32(*token)).collect();
            text.lines().last().unwrap_or_default().split(' ').rev().nth(1).unwrap_or_default().to_owned()
        };
        Ok(prompts.iter().map(answer).collect())
    }
}
