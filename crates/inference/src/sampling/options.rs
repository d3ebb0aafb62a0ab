//! Settings of a request, with a limit for every number.

use super::form::Format;

/// Limits of options. Names follow the OpenAI API and vLLM.
pub mod limits {
    /// Most completions of one prompt.
    pub const N: usize = 128;
    /// Most alternatives whose log-probabilities are returned.
    pub const LOGPROBS: usize = 20;
    /// Most stop strings, and most bytes of each.
    pub const STOP: usize = 16;
    pub const STOP_BYTES: usize = 512;
    /// Most stop tokens.
    pub const STOP_TOKENS: usize = 64;
    /// Most tokens with a bias.
    pub const LOGIT_BIAS: usize = 1024;
    pub const TEMPERATURE: f32 = 100.0;
    pub const REPETITION_PENALTY: f32 = 100.0;
}

/// Settings for choosing tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplingOptions {
    /// Stop after this many tokens; `None` at the end of the context.
    pub max_tokens: Option<usize>,
    /// No stop token or stop string ends the text earlier.
    pub min_tokens: usize,
    /// 0 takes the likeliest token; otherwise scores are divided by it.
    pub temperature: f32,
    /// Sample among this many likeliest tokens.
    pub top_k: Option<usize>,
    /// Sample among the fewest likeliest tokens whose probabilities sum to this (Holtzman et al. 2020).
    pub top_p: f32,
    /// Sample among tokens at least this share as likely as the likeliest.
    pub min_p: f32,
    /// Scores of tokens in the prompt and the text are divided by it, negative ones multiplied (Keskar et al. 2019).
    pub repetition_penalty: f32,
    /// Subtracted from scores of tokens in the text.
    pub presence_penalty: f32,
    /// Subtracted from scores of tokens in the text, for each occurrence.
    pub frequency_penalty: f32,
    /// Added to the scores of these tokens.
    pub logit_bias: Vec<(u32, f32)>,
    /// Random numbers are a function of seed, completion and position.
    pub seed: u64,
    /// Number of completions.
    pub n: usize,
    /// Strings that end the text; they are not part of it.
    pub stop: Vec<String>,
    /// Tokens that end the text, besides those of the model.
    pub stop_token_ids: Vec<u32>,
    /// The tokens of the model that end a text do not end it.
    pub ignore_eos: bool,
    /// Stop strings become part of the text.
    pub include_stop: bool,
    /// Return log-probabilities of each token, and of this many likeliest ones.
    pub logprobs: Option<usize>,
    /// With `logprobs`, return those of these tokens too, in this order behind the likeliest ones.
    pub logprob_token_ids: Vec<u32>,
    /// The same as `logprobs` for the tokens of the prompt.
    pub prompt_logprobs: Option<usize>,
    pub format: Format,
}

impl Default for SamplingOptions {
    fn default() -> Self {
        SamplingOptions {
            max_tokens: None,
            min_tokens: 0,
            temperature: 1.0,
            top_k: None,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: Vec::new(),
            seed: 0,
            n: 1,
            stop: Vec::new(),
            stop_token_ids: Vec::new(),
            ignore_eos: false,
            include_stop: false,
            logprobs: None,
            logprob_token_ids: Vec::new(),
            prompt_logprobs: None,
            format: Format::Text,
        }
    }
}

/// An option that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{option}` is {found}; it must be {expected}")]
pub struct InvalidOption {
    pub option: &'static str,
    pub found: String,
    pub expected: String,
}

impl SamplingOptions {
    /// Checks that every option is within its limits, for a vocabulary of `vocab` tokens.
    ///
    /// # Errors
    /// The first option that is not.
    pub fn validate(&self, vocab: usize) -> Result<(), InvalidOption> {
        let invalid = |option, found: String, expected: String| Err(InvalidOption { option, found, expected });
        let number = |option, value: f32, within: bool, expected: String| match within {
            true => Ok(()),
            false => invalid(option, value.to_string(), expected),
        };
        let count = |option, value: usize, most: usize| match value <= most {
            true => Ok(()),
            false => invalid(option, value.to_string(), format!("at most {most}")),
        };
        let token = |option, id: u32| match (id as usize) < vocab {
            true => Ok(()),
            false => invalid(option, format!("token {id}"), format!("below {vocab}")),
        };
        if self.max_tokens == Some(0) {
            return invalid("max_tokens", "0".into(), "at least 1".into());
        }
        if let Some(max_tokens) = self.max_tokens.filter(|max_tokens| self.min_tokens > *max_tokens) {
            return invalid("min_tokens", self.min_tokens.to_string(), format!("at most `max_tokens`, {max_tokens}"));
        }
        let most = limits::TEMPERATURE;
        number("temperature", self.temperature, (0.0..=most).contains(&self.temperature), format!("0 to {most}"))?;
        if self.top_k == Some(0) {
            return invalid("top_k", "0".into(), "at least 1".into());
        }
        number("top_p", self.top_p, self.top_p > 0.0 && self.top_p <= 1.0, "more than 0 and at most 1".into())?;
        number("min_p", self.min_p, (0.0..=1.0).contains(&self.min_p), "0 to 1".into())?;
        let most = limits::REPETITION_PENALTY;
        let within = self.repetition_penalty > 0.0 && self.repetition_penalty <= most;
        number("repetition_penalty", self.repetition_penalty, within, format!("more than 0 and at most {most}"))?;
        for (option, value) in
            [("presence_penalty", self.presence_penalty), ("frequency_penalty", self.frequency_penalty)]
        {
            number(option, value, (-2.0..=2.0).contains(&value), "-2 to 2".into())?;
        }
        count("logit_bias", self.logit_bias.len(), limits::LOGIT_BIAS)?;
        for (id, bias) in &self.logit_bias {
            token("logit_bias", *id)?;
            number("logit_bias", *bias, (-100.0..=100.0).contains(bias), "-100 to 100".into())?;
        }
        if self.n == 0 {
            return invalid("n", "0".into(), "at least 1".into());
        }
        count("n", self.n, limits::N)?;
        count("stop", self.stop.len(), limits::STOP)?;
        for stop in &self.stop {
            if stop.is_empty() || stop.len() > limits::STOP_BYTES {
                let expected = format!("1 to {} bytes each", limits::STOP_BYTES);
                return invalid("stop", format!("a string of {} bytes", stop.len()), expected);
            }
        }
        count("stop_token_ids", self.stop_token_ids.len(), limits::STOP_TOKENS)?;
        self.stop_token_ids.iter().try_for_each(|id| token("stop_token_ids", *id))?;
        count("logprobs", self.logprobs.unwrap_or(0), limits::LOGPROBS)?;
        count("logprob_token_ids", self.logprob_token_ids.len(), limits::LOGPROBS)?;
        self.logprob_token_ids.iter().try_for_each(|id| token("logprob_token_ids", *id))?;
        count("prompt_logprobs", self.prompt_logprobs.unwrap_or(0), limits::LOGPROBS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_options_are_refused_by_name() {
        let refused = |change: fn(&mut SamplingOptions)| {
            let mut options = SamplingOptions::default();
            change(&mut options);
            options.validate(10).map_err(|error| error.to_string()).unwrap_err()
        };
        assert_eq!(SamplingOptions::default().validate(10), Ok(()));
        assert_eq!(refused(|o| o.n = 1_000_000_000), "`n` is 1000000000; it must be at most 128");
        assert_eq!(refused(|o| o.n = 0), "`n` is 0; it must be at least 1");
        assert_eq!(refused(|o| o.max_tokens = Some(0)), "`max_tokens` is 0; it must be at least 1");
        assert_eq!(refused(|o| o.temperature = f32::NAN), "`temperature` is NaN; it must be 0 to 100");
        assert_eq!(refused(|o| o.top_p = 0.0), "`top_p` is 0; it must be more than 0 and at most 1");
        assert_eq!(refused(|o| o.min_p = -0.1), "`min_p` is -0.1; it must be 0 to 1");
        assert_eq!(refused(|o| o.top_k = Some(0)), "`top_k` is 0; it must be at least 1");
        assert_eq!(refused(|o| o.frequency_penalty = 2.5), "`frequency_penalty` is 2.5; it must be -2 to 2");
        assert_eq!(refused(|o| o.logit_bias = vec![(10, 1.0)]), "`logit_bias` is token 10; it must be below 10");
        assert_eq!(
            refused(|o| o.stop = vec![String::new()]),
            "`stop` is a string of 0 bytes; it must be 1 to 512 bytes each"
        );
        assert_eq!(refused(|o| o.logprobs = Some(21)), "`logprobs` is 21; it must be at most 20");
        let both = |o: &mut SamplingOptions| (o.min_tokens, o.max_tokens) = (5, Some(4));
        assert_eq!(refused(both), "`min_tokens` is 5; it must be at most `max_tokens`, 4");
    }
}
