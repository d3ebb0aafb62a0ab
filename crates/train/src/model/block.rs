//! One transformer block: its weights and its forward pass.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::config::Ffn;
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
}

/// Context that all blocks of a forward pass share.
pub(super) struct BlockContext<'a> {
    pub kernels: Kernels,
    pub attention: &'a AttentionContext,
    pub ffn: Ffn,
    pub norm_eps: f32,
}

/// Dropout masks of a block's two residual branches.
pub(super) type BranchMasks = Option<[DropoutMask; 2]>;

impl Block {
    /// Applies the block to the residual stream `x`, `[batch * seq, d_model]`.
    pub(super) fn forward(&self, x: Tensor<2>, context: &BlockContext<'_>, masks: BranchMasks) -> Tensor<2> {
        let BlockContext { kernels, attention, ffn, norm_eps } = *context;

        let mut qkv = kernels.norm_linear(x.clone(), self.input_norm.val(), self.qkv.val(), norm_eps);
        if let (Some(query), Some(key)) = (&self.query_norm, &self.key_norm) {
            qkv = kernels.qk_norm(qkv, query.val(), key.val(), attention.layout, norm_eps);
        }
        let mixed = kernels.attention(qkv, attention);
        let (first, second) = masks.map_or((None, None), |[first, second]| (Some(first), Some(second)));
        let out = self.attention_out.val();
        let x = match first {
            None => kernels.linear_add(mixed, out, x),
            Some(mask) => x + kernels.dropout(kernels.linear(mixed, out), mask),
        };

        let inner = kernels.norm_linear(x.clone(), self.ffn_norm.val(), self.ffn_in.val(), norm_eps);
        let (activation, out) = (activation_of(ffn), self.ffn_out.val());
        match second {
            None => kernels.activated_linear_add(inner, activation, out, x),
            Some(mask) => x + kernels.dropout(kernels.activated_linear(inner, activation, out), mask),
        }
    }
}

fn activation_of(ffn: Ffn) -> Activation {
    match ffn {
        Ffn::SwiGlu { .. } => Activation::SwiGlu,
        Ffn::Gelu { .. } => Activation::Gelu,
    }
}
