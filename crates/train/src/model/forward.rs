//! Logits, loss and per-token negative log-likelihood.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};

use super::block::{BlockContext, BlockMasks};
use super::lora::{AdapterMasks, Target};
use super::shared::host_slice;
use super::{Batch, Transformer};
use crate::ops::{AttentionContext, DropoutMask, Kernels, LossOptions, Objective, capped};

impl Transformer {
    /// Computes the terms of the loss over targets `>= 0`: the cross-entropy and, if it has a weight, the z-loss;
    /// `[1]` or `[2]`. Their sum is differentiable.
    ///
    /// # Panics
    /// When the batch does not fit the model: lengths that differ, ids or targets outside the
    /// vocabulary, a sequence longer than the context, a start after its token.
    pub fn loss(&self, batch: &Batch, objective: Objective) -> Tensor<1> {
        self.loss_with(self.kernels(), batch, objective)
    }

    /// [`Transformer::loss`] with a weight for each token of the vocabulary as a target.
    ///
    /// # Panics
    /// Under the conditions of [`Transformer::loss`].
    pub fn weighted_loss(&self, batch: &Batch, objective: Objective, token_weights: Option<Arc<[f32]>>) -> Tensor<1> {
        self.loss_of(self.kernels(), batch, objective, token_weights)
    }

    /// A loss whose derivatives with respect to the negative log-likelihood of each target depend on all of them: `weigh` gets
    /// the likelihoods, one per token and 0 where `targets` is negative, and returns those derivatives. The result has the
    /// gradient of the loss, and not its value; the other one is what `weigh` returns besides.
    ///
    /// # Panics
    /// Under the conditions of [`Transformer::loss`].
    pub fn loss_weighted_by<T>(
        &self,
        batch: &Batch,
        targets: &[i32],
        weigh: impl FnOnce(&[f32]) -> (Vec<f32>, T),
    ) -> (Tensor<1>, T) {
        let kernels = self.kernels();
        let (x, head, softcap) = (self.hidden_of(kernels, batch), self.embedding.val(), self.config.logit_softcap);
        let nll = kernels.capped_nll(x.clone().inner(), head.clone().inner(), targets, softcap).into_data();
        let (weights, besides) = weigh(host_slice(&nll));
        let options = LossOptions { softcap, token_weights: None, row_weights: Some(weights.into()) };
        (kernels.loss(x, head, targets, Objective::cross_entropy(1.0), &options), besides)
    }

    /// Negative log-likelihood of each target in nats, 0 where it is not counted: `[batch, seq]`.
    /// Builds no graph and drops nothing.
    ///
    /// # Panics
    /// Under the conditions of [`Transformer::loss`].
    pub fn token_nll(&self, batch: &Batch) -> Tensor<2> {
        let model = self.valid();
        let (kernels, evaluation) = (model.kernels(), Batch { dropout_seed: None, ..batch.clone() });
        let x = model.hidden_of(kernels, &evaluation);
        let nll = kernels.capped_nll(x, model.embedding.val(), &batch.targets, self.config.logit_softcap);
        nll.reshape([batch.batch, batch.seq])
    }

    /// Scores of the next token: `[batch, seq, vocab_size]` for `ids` `[batch, seq]`. `starts` holds one
    /// position per token as in [`Batch::starts`].
    ///
    /// # Panics
    /// When `starts` does not fit `ids`, or the sequence is longer than the context.
    pub fn logits(&self, ids: Tensor<2, Int>, starts: &[u32]) -> Tensor<3> {
        self.logits_with(self.kernels(), ids, starts)
    }

    pub(super) fn loss_with(&self, kernels: Kernels, batch: &Batch, objective: Objective) -> Tensor<1> {
        self.loss_of(kernels, batch, objective, None)
    }

    fn loss_of(
        &self,
        kernels: Kernels,
        batch: &Batch,
        objective: Objective,
        token_weights: Option<Arc<[f32]>>,
    ) -> Tensor<1> {
        let x = self.hidden_of(kernels, batch);
        let options = LossOptions { softcap: self.config.logit_softcap, token_weights, row_weights: None };
        kernels.loss(x, self.embedding.val(), &batch.targets, objective, &options)
    }

    pub(super) fn logits_with(&self, kernels: Kernels, ids: Tensor<2, Int>, starts: &[u32]) -> Tensor<3> {
        let [batch, seq] = ids.dims();
        let x = self.hidden(kernels, ids, starts, None);
        let logits = capped(kernels.linear(x, self.embedding.val()), self.config.logit_softcap);
        logits.reshape([batch, seq, self.config.vocab_size])
    }

    fn kernels(&self) -> Kernels {
        Kernels::for_device(&self.device(), self.precision)
    }

    fn hidden_of(&self, kernels: Kernels, batch: &Batch) -> Tensor<2> {
        let tokens = batch.batch * batch.seq;
        let vocab = self.config.vocab_size;
        assert!(batch.ids.len() == tokens && batch.targets.len() == tokens, "one id and one target per token");
        assert!(batch.ids.iter().all(|id| (*id as usize) < vocab), "an id outside the vocabulary");
        assert!(batch.targets.iter().all(|target| *target < vocab as i32), "a target outside the vocabulary");

        let ids: Vec<i32> = batch.ids.iter().map(|id| *id as i32).collect();
        let ids = TensorData::new(ids, [batch.batch, batch.seq]);
        let ids = Tensor::<2, Int>::from_data(ids, &self.device());
        self.hidden(kernels, ids, &batch.starts, batch.dropout_seed)
    }

    /// Output of the final norm, `[batch * seq, d_model]`.
    fn hidden(&self, kernels: Kernels, ids: Tensor<2, Int>, starts: &[u32], dropout_seed: Option<u64>) -> Tensor<2> {
        let [batch, seq] = ids.dims();
        let attention = AttentionContext::new(batch, seq, self.head_layout(), starts, self.rope.clone());
        let attention = AttentionContext { precision: kernels.precision, ..attention };
        let (ffn, norm_eps) = (self.config.ffn, self.config.norm_eps);
        let context = BlockContext { kernels, attention: &attention, ffn, norm_eps };
        let probability = self.config.dropout;
        let mask = |site: usize| {
            let seed = dropout_seed.filter(|_| probability > 0.0)?;
            Some(DropoutMask::new(seed, site as u64, probability))
        };

        let mut x = kernels.embedding(self.embedding.val(), ids.reshape([batch * seq]));
        if let Some(mask) = mask(0) {
            x = kernels.dropout(x, mask);
        }
        for (layer, block) in self.blocks.iter().enumerate() {
            let branches = mask(1 + 2 * layer).zip(mask(2 + 2 * layer)).map(|(first, second)| [first, second]);
            let masks = BlockMasks { branches, adapters: self.adapter_masks(layer, dropout_seed) };
            x = block.forward(x, &context, masks);
        }
        kernels.rms_norm(x, self.final_norm.val(), norm_eps)
    }

    /// Dropout of the adapters of a block. Their sites come after those of all residual branches.
    fn adapter_masks(&self, layer: usize, dropout_seed: Option<u64>) -> Option<AdapterMasks> {
        let probability = self.lora.as_ref().map_or(0.0, |lora| lora.dropout);
        let seed = dropout_seed.filter(|_| probability > 0.0)?;
        let first_site = (1 + 2 * self.config.layers + Target::ALL.len() * layer) as u64;
        Some(AdapterMasks { seed, probability, first_site })
    }

    /// True if a training step of this model draws dropout masks.
    pub fn drops(&self) -> bool {
        self.config.dropout > 0.0 || self.lora.as_ref().is_some_and(|lora| lora.dropout > 0.0)
    }
}
