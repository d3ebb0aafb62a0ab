//! Settings of a generation.

use thiserror::Error;

/// Settings for choosing the next token.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateOptions {
    /// Stop after this many new tokens.
    pub max_new_tokens: usize,
    /// 0 takes the likeliest token; otherwise scores are divided by it before sampling.
    pub temperature: f32,
    /// Sample among this many likeliest tokens.
    pub top_k: Option<usize>,
    /// Sample among the fewest likeliest tokens whose probabilities sum to this (Holtzman et al. 2020).
    pub top_p: Option<f32>,
    /// Equal seeds, prompts and options give equal tokens.
    pub seed: u64,
    /// Number of tokens in the tokenizer. Higher ids only pad the model's embedding and are never drawn.
    pub tokens: usize,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        GenerateOptions { max_new_tokens: 64, temperature: 0.0, top_k: None, top_p: None, seed: 0, tokens: usize::MAX }
    }
}

/// Options that cannot be used.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum GenerateError {
    #[error("`temperature` is {0}; it must be 0 or a positive number")]
    Temperature(f32),
    #[error("`top_k` is 0; it must be at least 1")]
    TopK,
    #[error("`top_p` is {0}; it must be more than 0 and at most 1")]
    TopP(f32),
}

impl GenerateOptions {
    /// Checks that every option is in range.
    ///
    /// # Errors
    /// A [`GenerateError`] for the first option that is not.
    pub fn validate(&self) -> Result<(), GenerateError> {
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return Err(GenerateError::Temperature(self.temperature));
        }
        if self.top_k == Some(0) {
            return Err(GenerateError::TopK);
        }
        match self.top_p {
            Some(top_p) if !(top_p > 0.0 && top_p <= 1.0) => Err(GenerateError::TopP(top_p)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_options_are_refused() {
        let with = |change: fn(&mut GenerateOptions)| {
            let mut options = GenerateOptions::default();
            change(&mut options);
            options.validate().map_err(|error| error.to_string())
        };
        assert_eq!(with(|_| {}), Ok(()));
        assert_eq!(
            with(|options| options.temperature = -1.0),
            Err("`temperature` is -1; it must be 0 or a positive number".into())
        );
        assert_eq!(with(|options| options.top_k = Some(0)), Err("`top_k` is 0; it must be at least 1".into()));
        assert_eq!(
            with(|options| options.top_p = Some(f32::NAN)),
            Err("`top_p` is NaN; it must be more than 0 and at most 1".into())
        );
    }
}
