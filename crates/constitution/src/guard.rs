//! Prompts of a base model: token ids with special tokens only where the policy has them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stop::{Code, Stop};

/// Token that starts every prompt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BosPolicy {
    /// No token: the tokenizer must add none.
    #[default]
    None,
    /// The BOS token of the model, once, at the start: the tokenizer must add that and nothing else.
    Model,
}

/// Rules for the ids of a prompt, checked when it is made and again before each forward pass.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PromptGuard {
    bos: Option<u32>,
    special: Vec<u32>,
}

impl PromptGuard {
    /// `bos` is that of the model, `special` are the ids of all its special tokens.
    ///
    /// # Errors
    /// `BosMissing` if the policy needs a token that the model does not have.
    pub fn new(policy: BosPolicy, bos: Option<u32>, mut special: Vec<u32>) -> Result<PromptGuard, Stop> {
        special.sort_unstable();
        let bos = match (policy, bos) {
            (BosPolicy::None, _) => None,
            (BosPolicy::Model, Some(bos)) => Some(bos),
            (BosPolicy::Model, None) => {
                return Err(Stop::new(Code::BosMissing, "the model names no BOS token", "use `bos = \"none\"`"));
            }
        };
        Ok(PromptGuard { bos, special })
    }

    /// The ids of a prompt for the ids of its text.
    pub fn start(&self, text: &[u32]) -> Vec<u32> {
        self.bos.into_iter().chain(text.iter().copied()).collect()
    }

    /// Compares what the tokenizer makes of a text by itself with the text's ids.
    ///
    /// # Errors
    /// `SpecialTokensAdded` if it adds anything but what the policy names.
    pub fn check_added(&self, by_itself: &[u32], text: &[u32]) -> Result<(), Stop> {
        // A tokenizer that adds nothing is no danger where the policy adds the token.
        if by_itself == text || by_itself == self.start(text) {
            return Ok(());
        }
        let added = by_itself.len() as i64 - text.len() as i64;
        Err(Stop::new(
            Code::SpecialTokensAdded,
            format!("the tokenizer adds {added} tokens to a text, which the policy for BOS does not name"),
            "if the model was trained with its BOS token before every text, use `bos = \"model\"`; else remove the \
             post-processor of its tokenizer",
        ))
    }

    /// Checks all positions of a prompt.
    ///
    /// # Errors
    /// `BosMissing`, `SpecialTokenInPrompt`.
    pub fn check(&self, ids: &[u32]) -> Result<(), Stop> {
        let text = match self.bos {
            None => ids,
            Some(bos) => match ids.split_first() {
                Some((first, text)) if *first == bos => text,
                _ => {
                    return Err(Stop::new(
                        Code::BosMissing,
                        "a prompt does not start with the BOS token that the policy asks for",
                        "prompts of a base model are made by the steps of the constitution only",
                    ));
                }
            },
        };
        match text.iter().position(|id| self.special.binary_search(id).is_ok()) {
            None => Ok(()),
            Some(place) => Err(Stop::new(
                Code::SpecialTokenInPrompt,
                format!("token {} of a prompt is the special token {}", place + ids.len() - text.len(), text[place]),
                "text is encoded with special tokens as text; a prompt that has one went through a chat template",
            )),
        }
    }
}

/// Results of the guards, part of the provenance of every record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardResult {
    pub bos: BosPolicy,
    /// Special tokens among the ids of the prompt, without BOS: always 0, or the run would have ended.
    pub special_tokens: u32,
    /// Tokens that the tokenizer adds to the text of the prompt by itself.
    pub added_by_tokenizer: i64,
    /// Reason of the person who let a model with a chat template pass as a base model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_chat_tuned: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOS: u32 = 1;

    fn guard(policy: BosPolicy) -> PromptGuard {
        PromptGuard::new(policy, Some(BOS), vec![2, 0, BOS]).unwrap()
    }

    #[test]
    fn a_clean_prompt_passes_and_every_contamination_has_its_code() {
        let code = |result: Result<(), Stop>| result.err().map(|stop| stop.code);
        let none = guard(BosPolicy::None);
        assert_eq!(code(none.check(&none.start(&[7, 8]))), None);
        assert_eq!(code(none.check(&[BOS, 7, 8])), Some(Code::SpecialTokenInPrompt));
        assert_eq!(code(none.check(&[7, 8, 2])), Some(Code::SpecialTokenInPrompt));
        assert_eq!(code(none.check_added(&[7, 8], &[7, 8])), None);
        assert_eq!(code(none.check_added(&[BOS, 7, 8], &[7, 8])), Some(Code::SpecialTokensAdded));
        let model = guard(BosPolicy::Model);
        assert_eq!(code(model.check(&model.start(&[7, 8]))), None);
        assert_eq!(code(model.check(&[7, 8])), Some(Code::BosMissing));
        assert_eq!(code(model.check(&[])), Some(Code::BosMissing));
        assert_eq!(code(model.check(&[BOS, BOS, 7])), Some(Code::SpecialTokenInPrompt), "a double BOS");
        assert_eq!(code(model.check_added(&[BOS, 7, 8], &[7, 8])), None);
        assert_eq!(code(model.check_added(&[BOS, 7, 8, 2], &[7, 8])), Some(Code::SpecialTokensAdded));
        assert_eq!(PromptGuard::new(BosPolicy::Model, None, vec![]).unwrap_err().code, Code::BosMissing);
    }
}
