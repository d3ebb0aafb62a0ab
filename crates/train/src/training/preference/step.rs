//! One micro-batch of preferences: asks the model and the reference, and makes the loss.

use std::sync::Arc;

use burn::tensor::Tensor;

use super::figures::Figures;
use super::math::{Answer, of_answer, of_pair};
use super::objective::{NllOf, PreferenceLoss, PreferenceObjective};
use super::rows::{mismatched, of_text, spread, sums};
use crate::model::shared::host_slice;
use crate::model::{Batch, Transformer};

/// The model that a training must not leave too far behind.
#[derive(Clone)]
pub enum Reference {
    /// Asked at each step. It has no dropout and no gradient.
    Model(Box<Transformer>),
    /// Log-probabilities of all answers of the token file, in its order.
    Known(Arc<[f64]>),
}

/// All samples of an optimizer step, over which its losses are averaged.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct StepShare {
    pub samples: f64,
    /// Tokens whose likelihood `orpo` raises.
    pub tokens: f64,
}

/// Loss of a micro-batch.
pub struct Judged {
    /// Has the gradient of the loss, and not its value.
    pub slope: Tensor<1>,
    /// Part of the step's loss.
    pub loss: f64,
    pub figures: Figures,
}

/// Rows of a micro-batch, and what is known about them.
pub struct Answers<'a> {
    /// Chosen and rejected answers in turn, or single answers.
    pub batch: &'a Batch,
    /// Place of each sample's first answer in the token file.
    pub documents: &'a [u64],
    /// Labels of single answers.
    pub desirable: &'a [bool],
    /// Token that fills rows.
    pub eos: u32,
}

/// Computes the loss of a micro-batch. `reference` is not asked by a loss without one.
pub fn judge(
    model: &Transformer,
    answers: &Answers<'_>,
    objective: &PreferenceObjective,
    reference: Option<&Reference>,
    share: StepShare,
) -> Judged {
    let batch = answers.batch;
    let before = match reference.filter(|_| objective.has_reference()) {
        None => vec![0.0; batch.batch],
        Some(Reference::Model(model)) => logps(model, batch),
        Some(Reference::Known(known)) => known_of(known, answers.documents, objective.rows_per_sample()),
    };
    let kl = match (objective.loss, reference) {
        (PreferenceLoss::Kto, Some(Reference::Model(reference))) => {
            Some(distance(model, reference, &mismatched(batch, answers.eos)))
        }
        _ => None,
    };
    let raises_text = objective.loss == PreferenceLoss::Orpo && objective.nll == NllOf::Text;
    let targets = if raises_text { of_text(batch) } else { batch.targets.clone() };
    let (slope, (loss, figures)) = model.loss_weighted_by(batch, &targets, |nll| {
        let answers_of = |((logp, tokens), reference): ((f64, f64), f64)| Answer { logp, reference, tokens };
        let all: Vec<Answer> = sums(nll, batch).into_iter().zip(before).map(answers_of).collect();
        let found = match objective.loss {
            PreferenceLoss::Kto => of_answers(objective, &all, answers.desirable, kl.unwrap_or(0.0)),
            _ => of_pairs(objective, &all),
        };
        let weights: Vec<f64> = found.slopes.iter().map(|slope| -slope / share.samples).collect();
        let mut weights = spread(&weights, batch);
        let mut loss = found.loss / share.samples;
        if objective.loss == PreferenceLoss::Orpo {
            loss += raise(nll, &targets, batch.seq, share.tokens, &mut weights);
        }
        (weights, (loss, found.figures))
    });
    Judged { slope, loss, figures }
}

/// Summed losses of the answers, their derivatives with respect to each log-probability, and numbers to show.
struct Found {
    loss: f64,
    slopes: Vec<f64>,
    figures: Figures,
}

fn of_pairs(objective: &PreferenceObjective, answers: &[Answer]) -> Found {
    let mut found = Found { loss: 0.0, slopes: Vec::with_capacity(answers.len()), figures: Figures::default() };
    for pair in answers.chunks_exact(2) {
        let (chosen, rejected) = (pair[0], pair[1]);
        let slope = of_pair(objective, chosen, rejected);
        found.loss += slope.loss;
        found.slopes.extend(slope.by);
        let logps = [chosen, rejected].map(|answer| match objective.loss {
            PreferenceLoss::Orpo => answer.logp / answer.tokens.max(1.0),
            _ => answer.logp,
        });
        let rewards = [(chosen, logps[0]), (rejected, logps[1])];
        let rewards = rewards.map(|(answer, logp)| objective.beta * (logp - answer.reference));
        found.figures.add_pair(rewards, logps);
    }
    found
}

fn of_answers(objective: &PreferenceObjective, answers: &[Answer], desirable: &[bool], kl: f64) -> Found {
    let mut found = Found { loss: 0.0, slopes: Vec::with_capacity(answers.len()), figures: Figures::default() };
    for (answer, desirable) in answers.iter().zip(desirable) {
        let slope = of_answer(objective, *answer, *desirable, kl);
        found.loss += slope.loss;
        found.slopes.extend(slope.by);
        found.figures.add_answer(*answer, objective.beta, *desirable);
    }
    found.figures.add_kl(kl);
    found
}

/// Adds the mean negative log-likelihood of chosen rows, which are every other one, to the weights. Returns it.
fn raise(nll: &[f32], targets: &[i32], seq: usize, tokens: f64, weights: &mut [f32]) -> f64 {
    let mut sum = 0.0;
    for at in (0..targets.len()).filter(|at| (at / seq).is_multiple_of(2) && targets[*at] >= 0) {
        sum += f64::from(nll[at]);
        weights[at] += (1.0 / tokens) as f32;
    }
    sum / tokens
}

/// Tokens of the chosen rows of a step whose likelihood `orpo` raises.
pub fn raised_tokens(objective: &PreferenceObjective, batch: &Batch) -> f64 {
    let targets = if objective.nll == NllOf::Text { of_text(batch) } else { batch.targets.clone() };
    let chosen = targets.chunks(batch.seq).step_by(2).flatten();
    chosen.filter(|target| **target >= 0).count() as f64
}

/// Log-probability of each row's answer, without dropout and without a gradient.
pub fn logps(model: &Transformer, batch: &Batch) -> Vec<f64> {
    let nll = model.token_nll(batch).into_data();
    sums(host_slice(&nll), batch).into_iter().map(|(logp, _)| logp).collect()
}

/// Mean difference of the log-probabilities of answers that do not belong to their prompts, at least 0.
fn distance(model: &Transformer, reference: &Transformer, batch: &Batch) -> f64 {
    let pairs = logps(model, batch).into_iter().zip(logps(reference, batch));
    (pairs.map(|(model, reference)| model - reference).sum::<f64>() / batch.batch.max(1) as f64).max(0.0)
}

fn known_of(known: &[f64], documents: &[u64], rows: usize) -> Vec<f64> {
    documents.iter().flat_map(|first| &known[*first as usize..*first as usize + rows]).copied().collect()
}
