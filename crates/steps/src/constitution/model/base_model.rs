//! A model that continues text. It has no chat template: the handle drops it, so that no step can apply one.

use crate::constitution::files::stopped;
use crate::handler::StepContext;
use crate::infer::{Asked, digest_of, engine_name, model_files_at};
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_constitution::{Code, GuardResult, LabelScores, PromptGuard, Stop};
use stepwell_models::{Model, Tokenizer};

use super::arguments::BaseArguments;

/// Longest reason to accept a chat-tuned model, in bytes.
const LONGEST_REASON: usize = 500;

/// A base model.
pub struct BaseModel {
    model: Model,
    arguments: BaseArguments,
    digest: String,
    guard: PromptGuard,
    /// Spellings of all special tokens.
    special: Vec<String>,
    accepted: Option<String>,
}

/// A prompt in token ids.
pub struct Prompt {
    pub ids: Vec<u32>,
    pub guard: GuardResult,
}

impl BaseModel {
    /// Opens the model, and checks that it is a base model with the tokenizer that the policy for BOS describes.
    ///
    /// # Errors
    /// `ChatTunedModel`, `BosMissing`, `SpecialTokensAdded`; a model that cannot be read.
    pub fn open(context: &StepContext<'_>, arguments: BaseArguments) -> Result<BaseModel, Failure> {
        let named = (&arguments.model, arguments.tokenizer.as_ref());
        let files = model_files_at(named, context.artifacts, &context.request.project_dir)?;
        let model = Model::from_files(&files).map_err(|error| {
            let hint = error.hint();
            Failure::from_error(FailureKind::Fatal, &error).with_hint(hint)
        })?;
        BaseModel::of(model, digest_of(&files)?, arguments).map_err(stopped)
    }

    fn of(mut model: Model, digest: String, arguments: BaseArguments) -> Result<BaseModel, Stop> {
        let reason = arguments.accept_chat_tuned.trim();
        let accepted = match (model.chat.take(), reason) {
            (None, _) => None,
            (Some(_), "") => {
                return Err(Stop::new(
                    Code::ChatTunedModel,
                    "the model has a chat template: it was tuned to follow instructions, and is no base model",
                    "name a base model; to go on all the same, say why in `accept_chat_tuned`: every record will have the reason",
                ));
            }
            (Some(_), reason) if reason.len() > LONGEST_REASON => {
                let message = "the reason in `accept_chat_tuned` has more than 500 bytes";
                return Err(Stop::new(Code::ChatTunedModel, message, "shorten it"));
            }
            (Some(_), reason) => Some(reason.to_owned()),
        };
        let ids = (0..u32::try_from(model.tokenizer.vocab()).unwrap_or(u32::MAX))
            .filter(|id| model.tokenizer.is_special(*id));
        let mut ids: Vec<u32> = ids.collect();
        let special: Vec<String> =
            ids.iter().filter_map(|id| model.tokenizer.name_of(*id)).filter(|name| !name.is_empty()).collect();
        // Tokens that end or start a text are control tokens, also where a tokenizer does not call them special.
        ids.extend(model.special.eos.iter().chain(&model.special.bos));
        let guard = PromptGuard::new(arguments.bos, model.special.bos, ids)?;
        let base = BaseModel { model, arguments, digest, guard, special, accepted };
        base.prompt("Water freezes at")?;
        Ok(base)
    }

    /// Encodes a text. Special tokens in it are text to the tokenizer, and end the run: a base model has no use for their spelling.
    ///
    /// # Errors
    /// `LiteralSpecialToken`, `SpecialTokensAdded`, `SpecialTokenInPrompt`, `BosMissing`.
    pub fn prompt(&self, text: &str) -> Result<Prompt, Stop> {
        const HINT: &str =
            "remove it from the constitution, the items or the rows; it would be a control token elsewhere";
        if let Some(token) = self.special.iter().find(|token| text.contains(token.as_str())) {
            let message = format!("a prompt spells the special token `{token}`");
            return Err(Stop::new(Code::LiteralSpecialToken, message, HINT));
        }
        let failed =
            |problem: stepwell_models::Problem| Stop::new(Code::LiteralSpecialToken, problem.to_string(), HINT);
        let tokenizer: &Tokenizer = &self.model.tokenizer;
        let plain = tokenizer.encode_fragment(text).map_err(failed)?;
        let by_itself = tokenizer.encode_text(text).map_err(failed)?;
        self.guard.check_added(&by_itself, &plain)?;
        let ids = self.guard.start(&plain);
        self.guard.check(&ids)?;
        let guard = GuardResult {
            bos: self.arguments.bos,
            special_tokens: 0,
            added_by_tokenizer: by_itself.len() as i64 - plain.len() as i64,
            accepted_chat_tuned: self.accepted.clone(),
        };
        Ok(Prompt { ids, guard })
    }

    /// Tokens of the spellings of the labels.
    ///
    /// # Errors
    /// `LabelNotOneToken`.
    pub fn labels(&self) -> Result<[u32; 4], Stop> {
        let mut ids = [0; 4];
        for (id, spelling) in ids.iter_mut().zip(LabelScores::SPELLINGS) {
            let tokens = self.model.tokenizer.encode_fragment(spelling).unwrap_or_default();
            let [token] = tokens[..] else {
                let message = format!("the label `{spelling}` has {} tokens, it must be exactly one", tokens.len());
                return Err(Stop::new(
                    Code::LabelNotOneToken,
                    message,
                    "this model cannot be a critic by log-probabilities",
                ));
            };
            *id = token;
        }
        Ok(ids)
    }

    /// Spellings of special tokens, which no answer may have.
    pub fn special(&self) -> &[String] {
        &self.special
    }

    pub fn digest(&self) -> &str {
        &self.digest
    }

    pub fn engine(&self) -> String {
        engine_name(self.arguments.dtype)
    }

    /// Puts requests to the model.
    pub(super) fn asked(&self, bodies: Vec<(String, serde_json::Value)>) -> Asked<'_> {
        Asked {
            model: &self.model,
            digest: self.digest.clone(),
            dtype: self.arguments.dtype,
            concurrency: self.arguments.concurrency,
            guard: self.guard.clone(),
            bodies,
        }
    }
}
