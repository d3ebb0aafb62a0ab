//! Arguments of `train` about what it measures of itself while it goes.

use std::num::NonZeroU64;

use schemars::JsonSchema;
use serde::Deserialize;

use super::stop_when::StopWhenArguments;
use super::train::Arguments;
use stepwell_base::failure::Failure;
use stepwell_base::protocol::{LONGEST_SAMPLE, MOST_SAMPLES};
use stepwell_train::training::{StopWhen, WatchedWeights};

/// Without `validation_every`.
const VALIDATION_EVERY: u64 = 100;
/// Without `validation_tokens`: about 1 % of the time of the default number of steps between two validations.
const VALIDATION_TOKENS: u64 = 8192;
/// Without `sample_tokens`.
const SAMPLE_TOKENS: usize = 48;
/// Longest texts; more would not fit a page.
const MOST_SAMPLE_TOKENS: usize = 1024;

/// State of a training that becomes its output `model`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModelOutput {
    /// The state after the last step.
    #[default]
    Last,
    /// The state with the lowest loss on `validation`.
    Best,
}

/// Weights of a training that are looked at and become its outputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WeightsArgument {
    /// Those that are trained.
    #[default]
    Trained,
    /// Their exponential moving average, see `ema`.
    Ema,
}

/// When and how much a training measures on held-out text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ValidationPlan {
    pub every: NonZeroU64,
    pub tokens: NonZeroU64,
}

/// Texts that a training writes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SamplePlan {
    pub every: NonZeroU64,
    pub prompts: Vec<String>,
    pub max_new_tokens: usize,
}

impl Arguments {
    /// Checks the arguments that need no file.
    ///
    /// # Errors
    /// Names the argument that asks for what another one does not give.
    pub fn check_watch(&self) -> Result<(), Failure> {
        self.validation_plan()?;
        self.sample_plan().map(drop)
    }

    /// `None` without `validation`, and when it is never used.
    ///
    /// # Errors
    /// When an argument needs `validation`, and there is none.
    pub fn validation_plan(&self) -> Result<Option<ValidationPlan>, Failure> {
        let every = NonZeroU64::new(self.validation_every.unwrap_or(VALIDATION_EVERY));
        let tokens = self.validation_tokens.or(NonZeroU64::new(VALIDATION_TOKENS));
        let plan = every.zip(tokens).map(|(every, tokens)| ValidationPlan { every, tokens });
        if self.validation.is_some() && plan.is_some() {
            return Ok(plan);
        }
        let needs = [
            ("validation_every", self.validation_every.is_some_and(|every| every > 0)),
            ("validation_tokens", self.validation_tokens.is_some()),
            ("stop_when", self.stop_when.is_some() || self.phases.iter().any(|phase| phase.stop_when.is_some())),
            ("output = \"best\"", self.output == ModelOutput::Best),
        ];
        match needs.iter().find(|(_, given)| *given) {
            Some((name, _)) => {
                let message = format!("`{name}` needs `validation`, a token file of held-out text");
                Err(Failure::fatal(message).with_hint(
                    "`validation` is the output `tokens` of a step of kind `tokenize`, as `eval` takes it; \
                     `validation_every = 0` turns it off",
                ))
            }
            None => Ok(None),
        }
    }

    /// `None` without `sample_every`.
    ///
    /// # Errors
    /// For too many or too long texts, and prompts that nobody continues.
    pub fn sample_plan(&self) -> Result<Option<SamplePlan>, Failure> {
        let Some(every) = NonZeroU64::new(self.sample_every) else {
            let given = [("prompts", self.prompts.is_some()), ("sample_tokens", self.sample_tokens.is_some())];
            return match given.iter().find(|(_, given)| *given) {
                Some((name, _)) => {
                    Err(Failure::fatal(format!("`{name}` needs `sample_every`, the steps between texts"))
                        .with_hint("200 is a good start"))
                }
                None => Ok(None),
            };
        };
        let prompts = self.prompts.clone().unwrap_or_else(|| vec![String::new()]);
        let max_new_tokens = self.sample_tokens.unwrap_or(SAMPLE_TOKENS);
        if prompts.is_empty() || prompts.len() > MOST_SAMPLES {
            let message = format!("`prompts` has {} texts; it must have 1 to {MOST_SAMPLES}", prompts.len());
            return Err(Failure::fatal(message).with_hint("an empty text starts a new document"));
        }
        if let Some(long) = prompts.iter().find(|prompt| prompt.len() > LONGEST_SAMPLE) {
            let message = format!("a text of `prompts` has {} bytes, more than {LONGEST_SAMPLE}", long.len());
            return Err(Failure::fatal(message));
        }
        if !(1..=MOST_SAMPLE_TOKENS).contains(&max_new_tokens) {
            let message = format!("`sample_tokens` is {max_new_tokens}; it must be 1 to {MOST_SAMPLE_TOKENS}");
            return Err(Failure::fatal(message).with_hint("training waits while it writes"));
        }
        Ok(Some(SamplePlan { every, prompts, max_new_tokens }))
    }

    /// The weights that are looked at.
    pub fn watched_weights(&self) -> WatchedWeights {
        match self.weights {
            WeightsArgument::Trained => WatchedWeights::Trained,
            WeightsArgument::Ema => WatchedWeights::Average,
        }
    }

    /// The rule that ends the training early, if any.
    pub fn stop_rule(&self) -> Option<StopWhen> {
        self.stop_when.map(|StopWhenArguments { no_improvement }| StopWhen { no_improvement })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn arguments(change: Value) -> Arguments {
        let file = json!({"digest": "0".repeat(64), "size": 1, "media_type": "x"});
        let mut with = json!({"tokens": [file], "tokenizer": file});
        let change = change.as_object().unwrap().clone();
        with.as_object_mut().unwrap().extend(change);
        if with["validation"] == json!(true) {
            with["validation"] = file;
        }
        serde_json::from_value(with).unwrap()
    }

    fn number(n: u64) -> NonZeroU64 {
        NonZeroU64::new(n).unwrap()
    }

    #[test]
    fn nothing_is_measured_unless_somebody_asks() {
        let plain = arguments(json!({}));
        assert_eq!((plain.validation_plan().unwrap(), plain.sample_plan().unwrap()), (None, None));
        let never = arguments(json!({"validation": true, "validation_every": 0, "sample_every": 0}));
        assert_eq!((never.validation_plan().unwrap(), never.sample_plan().unwrap()), (None, None));
        let plan = arguments(json!({"validation": true, "validation_every": 7})).validation_plan().unwrap();
        assert_eq!(plan, Some(ValidationPlan { every: number(7), tokens: number(8192) }));
        let plan = arguments(json!({"sample_every": 9})).sample_plan().unwrap().unwrap();
        assert_eq!((plan.every, plan.prompts, plan.max_new_tokens), (number(9), vec![String::new()], 48));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (change, message) in [
            (json!({"validation_every": 5}), "`validation_every` needs `validation`"),
            (json!({"validation_tokens": 5}), "`validation_tokens` needs `validation`"),
            (json!({"stop_when": {"no_improvement": 5}}), "`stop_when` needs `validation`"),
            (json!({"validation": true, "validation_every": 0, "output": "best"}), "`output = \"best\"` needs"),
            (json!({"output": "best"}), "`output = \"best\"` needs `validation`"),
            (json!({"prompts": ["a"]}), "`prompts` needs `sample_every`"),
            (json!({"sample_tokens": 5}), "`sample_tokens` needs `sample_every`"),
            (json!({"sample_every": 1, "prompts": []}), "`prompts` has 0 texts; it must have 1 to 16"),
            (json!({"sample_every": 1, "prompts": vec!["x"; 17]}), "`prompts` has 17 texts"),
            (json!({"sample_every": 1, "prompts": ["x".repeat(8193)]}), "a text of `prompts` has 8193 bytes"),
            (json!({"sample_every": 1, "sample_tokens": 0}), "`sample_tokens` is 0; it must be 1 to 1024"),
            (json!({"sample_every": 1, "sample_tokens": 1025}), "`sample_tokens` is 1025"),
        ] {
            let failure = arguments(change.clone()).check_watch().unwrap_err();
            assert!(failure.message.starts_with(message), "{change}: {}", failure.message);
        }
    }
}
