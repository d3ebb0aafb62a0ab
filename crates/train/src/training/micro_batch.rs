//! One micro-batch: what it minimises, and its gradients and loss.

use burn::tensor::{Gradients, Tensor, TensorData};

use super::preference::{Answers, Figures, PreferenceObjective, Reference, StepShare, judge};
use crate::data::{Example, PackedRow};
use crate::model::{Batch, Transformer};
use crate::ops::Objective;

/// Weight of each token of the vocabulary as a target; `None` weighs all the same.
pub type TokenWeights = Option<std::sync::Arc<[f32]>>;

/// What a step minimises.
pub enum StepObjective {
    NextToken { objective: Objective, token_weights: TokenWeights },
    Preference { objective: PreferenceObjective, share: StepShare, examples: Vec<Example> },
}

/// A micro-batch and what it minimises.
pub enum MicroBatch {
    NextToken {
        batch: Batch,
        objective: Objective,
        token_weights: TokenWeights,
    },
    Preference {
        batch: Batch,
        objective: PreferenceObjective,
        share: StepShare,
        examples: Vec<Example>,
        reference: Option<Reference>,
        /// Token that fills rows.
        eos: u32,
    },
}

/// Gradients and loss of a micro-batch.
pub struct MicroResult {
    pub gradients: Gradients,
    /// Terms of the loss.
    pub loss: Tensor<1>,
    /// Numbers beside the loss; none of the next token.
    pub figures: Figures,
}

impl MicroBatch {
    /// Forward and backward pass.
    pub fn run(self, model: &Transformer) -> MicroResult {
        match self {
            MicroBatch::NextToken { batch, objective, token_weights } => {
                let loss = model.weighted_loss(&batch, objective, token_weights);
                MicroResult { gradients: loss.backward(), loss: loss.inner(), figures: Figures::default() }
            }
            MicroBatch::Preference { batch, objective, share, examples, reference, eos } => {
                let documents: Vec<u64> = examples.iter().map(|example| example.document).collect();
                let desirable: Vec<bool> = examples.iter().map(|example| example.desirable).collect();
                let answers = Answers { batch: &batch, documents: &documents, desirable: &desirable, eos };
                let judged = judge(model, &answers, &objective, reference.as_ref(), share);
                let loss = TensorData::new(vec![judged.loss as f32], [1]);
                let loss = Tensor::from_data(loss, &model.device().without_autodiff());
                MicroResult { gradients: judged.slope.backward(), loss, figures: judged.figures }
            }
        }
    }
}

/// Sum of the weights of all counted targets of a step; 1 if that is 0, because nothing is divided then.
pub fn divisor(rows: &[PackedRow], token_weights: Option<&[f32]>) -> f32 {
    let counted = rows.iter().flat_map(|row| &row.targets).filter_map(|target| usize::try_from(*target).ok());
    match token_weights {
        None => counted.count().max(1) as f32,
        Some(weights) => {
            let sum: f64 = counted.map(|token| f64::from(weights.get(token).copied().unwrap_or(1.0))).sum();
            if sum > 0.0 { sum as f32 } else { 1.0 }
        }
    }
}

/// Losses of a step's micro-batches, not read yet. Each tensor holds the terms of one loss.
#[derive(Default)]
pub struct StepLoss {
    micro_batches: Vec<Tensor<1>>,
    /// Sums of the numbers beside the loss.
    pub figures: Figures,
}

/// Terms of the loss of a step, which is their sum.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LossTerms {
    pub cross_entropy: f64,
    /// `None` when the plan has no z-loss.
    pub z_loss: Option<f64>,
}

impl StepLoss {
    /// Adds a micro-batch.
    pub fn add(&mut self, loss: Tensor<1>, figures: &Figures) {
        self.micro_batches.push(loss);
        self.figures.add(figures);
    }

    /// Reads the losses, which waits for the device.
    pub fn value(&self) -> LossTerms {
        let read = |loss: &Tensor<1>| loss.clone().into_data().iter::<f32>().map(f64::from).collect();
        let losses: Vec<Vec<f64>> = self.micro_batches.iter().map(read).collect();
        let term = |index: usize| losses.iter().map(|terms| terms.get(index).copied()).sum::<Option<f64>>();
        LossTerms { cross_entropy: term(0).unwrap_or(0.0), z_loss: term(1) }
    }
}
