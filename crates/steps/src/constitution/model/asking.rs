//! Requests with their provenance.

use serde_json::{Value, json};

use super::base_model::BaseModel;
use crate::constitution::files::stopped;
use crate::handler::{StepContext, StepError};
use crate::infer;
use stepwell_base::artifact::{ArtifactRef, Digest};
use stepwell_base::failure::Failure;
use stepwell_base::rng::derive_seed;
use stepwell_batch::results::FinishReason;
use stepwell_constitution::{Constitution, CutOff, LabelScores, Provenance, Sampling};

/// A request.
pub struct Ask {
    /// Unique in its step.
    pub id: String,
    pub prompt: String,
    pub wanted: Wanted,
}

/// What the model gives.
#[derive(Clone)]
pub enum Wanted {
    /// A text, up to one of these strings.
    Text { sampling: Sampling, stop: Vec<String> },
    /// Log-probabilities of the labels.
    Labels,
}

/// An answer.
pub struct Told {
    pub text: String,
    pub cut_off: CutOff,
    /// Present if labels were wanted.
    pub labels: Option<LabelScores>,
    pub provenance: Provenance,
}

/// What the provenance of all requests of a step has in common.
pub struct Common<'a> {
    pub step: &'static str,
    pub constitution: &'a Constitution,
    pub seed: u64,
}

/// Asks everything, in order. Answered requests survive a kill.
///
/// # Errors
/// Codes of the guards; `Unanswered`.
pub fn ask(
    context: &mut StepContext<'_>,
    base: &BaseModel,
    common: &Common<'_>,
    asks: &[Ask],
) -> Result<(Vec<Told>, Option<ArtifactRef>), StepError> {
    let digest = common.constitution.digest();
    let (mut bodies, mut provenances) = (Vec::new(), Vec::new());
    for (number, ask) in asks.iter().enumerate() {
        let prompt = base.prompt(&ask.prompt).map_err(stopped)?;
        // 53 bits survive every reader of JSON.
        let seed = derive_seed(common.seed, common.step, number as u64) >> 11;
        let (mut body, sampling) = match &ask.wanted {
            Wanted::Text { sampling, stop } => {
                let body = json!({
                    "max_tokens": sampling.max_tokens, "temperature": sampling.temperature, "top_p": sampling.top_p,
                    "repetition_penalty": sampling.repetition_penalty, "stop": stop,
                });
                (body, sampling.clone())
            }
            Wanted::Labels => {
                let labels = base.labels().map_err(stopped)?;
                // The token itself is of no interest, but there must be one: a text that ends at once has no log-probabilities.
                let body = json!({
                    "max_tokens": 1, "temperature": 0, "ignore_eos": true, "logprobs": 0, "logprob_token_ids": labels,
                });
                (body, Sampling { max_tokens: 1, temperature: 0.0, top_p: 1.0, repetition_penalty: 1.0 })
            }
        };
        if let Value::Object(fields) = &mut body {
            fields.insert("model".to_owned(), json!("base"));
            fields.insert("prompt".to_owned(), json!(prompt.ids));
            fields.insert("seed".to_owned(), json!(seed));
            // What the files of the model propose for sampling must not decide.
            for (name, value) in
                [("top_k", json!(0)), ("min_p", json!(0)), ("top_p", json!(1)), ("repetition_penalty", json!(1))]
            {
                fields.entry(name).or_insert(value);
            }
        }
        bodies.push((ask.id.clone(), body));
        provenances.push(Provenance {
            step: common.step.to_owned(),
            prompt: Digest::of(ask.prompt.as_bytes()),
            prompt_tokens: prompt.ids.len() as u64,
            model: base.digest().to_owned(),
            engine: base.engine(),
            constitution: digest.clone(),
            seed,
            sampling,
            completion_tokens: 0,
            finish_reason: String::new(),
            guard: prompt.guard,
        });
    }
    let (answers, file) = infer::answer(context, &base.asked(bodies))?;
    let mut told = Vec::with_capacity(answers.len());
    for ((answer, mut provenance), ask) in answers.into_iter().zip(provenances).zip(asks) {
        provenance.completion_tokens = answer.completion_tokens;
        let (cut_off, reason) = match answer.finish_reason {
            FinishReason::Length => (CutOff::Yes, "length"),
            FinishReason::Stop => (CutOff::No, "stop"),
        };
        provenance.finish_reason = reason.to_owned();
        let labels = match &ask.wanted {
            Wanted::Text { .. } => None,
            Wanted::Labels => {
                let mut scores = [0.0; 4];
                for (score, spelling) in scores.iter_mut().zip(LabelScores::SPELLINGS) {
                    *score = *answer.first.get(spelling).ok_or_else(|| {
                        Failure::fatal(format!("the engine gave no log-probability of the label `{spelling}`"))
                    })?;
                }
                Some(LabelScores::of(scores))
            }
        };
        told.push(Told { text: answer.text, cut_off, labels, provenance });
    }
    Ok((told, file))
}
