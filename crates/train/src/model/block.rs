//! One transformer block: its weights and its forward pass.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::config::Ffn;
use super::lora::{AdapterMasks, BlockAdapters, Part, Target};
use crate::ops::{Activation, AttentionContext, DropoutMask, Kernels};

/// Weights of a pre-norm block. Projections that read the same input are one matrix.
#[derive(Module, Debug)]
pub struct Block {
    /// `[d_model]`.
    pub(super) input_norm: Param<Tensor<1>>,
    /// Queries, keys and values: `[(heads + 2 kv_heads) * head_dim, d_model]`.
    pub(super) qkv: Param<Tensor<2>>,
    /// `[head_dim]`, with `qk_norm` only.
    pub(super) query_norm: Option<Param<Tensor<1>>>,
    /// `[head_dim]`, with `qk_norm` only.
    pub(super) key_norm: Option<Param<Tensor<1>>>,
    /// `[d_model, heads * head_dim]`.
    pub(super) attention_out: Param<Tensor<2>>,
    /// `[d_model]`.
    pub(super) ffn_norm: Param<Tensor<1>>,
    /// Gate and up, or up alone: `[2 * hidden, d_model]` or `[hidden, d_model]`.
    pub(super) ffn_in: Param<Tensor<2>>,
    /// `[d_model, hidden]`.
    pub(super) ffn_out: Param<Tensor<2>>,
    /// Adapters beside frozen matrices.
    pub(super) lora: Option<BlockAdapters>,
}

/// Context that all blocks of a forward pass share.
pub(super) struct BlockContext<'a> {
    pub kernels: Kernels,
    pub attention: &'a AttentionContext,
    pub ffn: Ffn,
    pub norm_eps: f32,
}

/// Dropout of a block: masks of its two residual branches, and of the inputs of its adapters.
#[derive(Clone, Copy, Default)]
pub(super) struct BlockMasks {
    pub branches: Option<[DropoutMask; 2]>,
    pub adapters: Option<AdapterMasks>,
}

impl Block {
    /// Applies the block to the residual stream `x`, `[batch * seq, d_model]`.
    pub(super) fn forward(&self, x: Tensor<2>, context: &BlockContext<'_>, masks: BlockMasks) -> Tensor<2> {
        let BlockContext { kernels, attention, ffn, norm_eps } = *context;
        let (query, key) = (attention.layout.query_width(), attention.layout.key_width());

        let parts = [(Target::QProj, query), (Target::KProj, key), (Target::VProj, key)];
        let mut qkv = self.norm_linear(x.clone(), &self.input_norm, &self.qkv, &parts, context, masks);
        if let (Some(query), Some(key)) = (&self.query_norm, &self.key_norm) {
            qkv = kernels.qk_norm(qkv, query.val(), key.val(), attention.layout, norm_eps);
        }
        let mixed = kernels.attention(qkv, attention);
        let (first, second) = masks.branches.map_or((None, None), |[first, second]| (Some(first), Some(second)));
        let out = self.attention_out.val();
        let part = (Target::OProj, out.dims()[0]);
        let x = match (self.delta(&mixed, part, kernels, masks), first) {
            (None, None) => kernels.linear_add(mixed, out, x),
            (None, Some(mask)) => x + kernels.dropout(kernels.linear(mixed, out), mask),
            (Some(delta), None) => kernels.linear_add(mixed, out, x + delta),
            (Some(delta), Some(mask)) => x + kernels.dropout(kernels.linear_add(mixed, out, delta), mask),
        };

        let hidden = ffn.hidden();
        let gated = [(Target::GateProj, hidden), (Target::UpProj, hidden)];
        let parts = if ffn.input_matrices() == 2 { &gated[..] } else { &gated[1..] };
        let inner = self.norm_linear(x.clone(), &self.ffn_norm, &self.ffn_in, parts, context, masks);
        let (activation, out) = (activation_of(ffn), self.ffn_out.val());
        let part = (Target::DownProj, out.dims()[0]);
        if !self.adapts(&[part]) {
            return match second {
                None => kernels.activated_linear_add(inner, activation, out, x),
                Some(mask) => x + kernels.dropout(kernels.activated_linear(inner, activation, out), mask),
            };
        }
        let inner = kernels.activated(inner, activation);
        match (self.delta(&inner, part, kernels, masks), second) {
            (None, _) => kernels.linear_add(inner, out, x),
            (Some(delta), None) => kernels.linear_add(inner, out, x + delta),
            (Some(delta), Some(mask)) => x + kernels.dropout(kernels.linear_add(inner, out, delta), mask),
        }
    }

    /// `linear(rms_norm(x))` of a stack of matrices, with what their adapters add. Without adapters, nothing but `x` is kept
    /// for the backward pass.
    fn norm_linear(
        &self,
        x: Tensor<2>,
        norm: &Param<Tensor<1>>,
        weight: &Param<Tensor<2>>,
        parts: &[Part],
        context: &BlockContext<'_>,
        masks: BlockMasks,
    ) -> Tensor<2> {
        let BlockContext { kernels, norm_eps, .. } = *context;
        match self.lora.as_ref().filter(|lora| lora.adapts(parts)) {
            None => kernels.norm_linear(x, norm.val(), weight.val(), norm_eps),
            Some(lora) => {
                let normed = kernels.rms_norm(x, norm.val(), norm_eps);
                let delta = lora.delta(&normed, parts, kernels, masks.adapters);
                kernels.linear_add(normed, weight.val(), delta)
            }
        }
    }

    fn adapts(&self, parts: &[Part]) -> bool {
        self.lora.as_ref().is_some_and(|lora| lora.adapts(parts))
    }

    /// What the adapter of a matrix adds to its output, if it has one.
    fn delta(&self, x: &Tensor<2>, part: Part, kernels: Kernels, masks: BlockMasks) -> Option<Tensor<2>> {
        let lora = self.lora.as_ref().filter(|lora| lora.adapts(&[part]))?;
        Some(lora.delta(x, &[part], kernels, masks.adapters))
    }
}

fn activation_of(ffn: Ffn) -> Activation {
    match ffn {
        Ffn::SwiGlu { .. } => Activation::SwiGlu,
        Ffn::Gelu { .. } => Activation::Gelu,
    }
}
