//! The choice between the portable and the fused implementation, made once per forward pass.

use burn::tensor::{Device, Int, Tensor};

use super::{AttentionContext, DropoutMask, HeadLayout, portable};

/// Which implementation runs the operations of a forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// Stock burn tensors, on any device.
    Portable,
}

impl Kernels {
    /// The fastest implementation for tensors of `device`.
    pub fn for_device(_device: &Device) -> Self {
        Kernels::Portable
    }

    pub fn embedding(self, weight: Tensor<2>, ids: Tensor<1, Int>) -> Tensor<2> {
        portable::embedding(weight, ids)
    }

    pub fn rms_norm(self, x: Tensor<2>, weight: Tensor<1>, eps: f32) -> Tensor<2> {
        portable::rms_norm(x, weight, eps)
    }

    pub fn linear(self, x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
        portable::linear(x, weight)
    }

    pub fn linear_add(self, x: Tensor<2>, weight: Tensor<2>, residual: Tensor<2>) -> Tensor<2> {
        portable::linear_add(x, weight, residual)
    }

    pub fn qk_norm(self, qkv: Tensor<2>, weights: [Tensor<1>; 2], layout: HeadLayout, eps: f32) -> Tensor<2> {
        let [query, key] = weights;
        portable::qk_norm(qkv, query, key, layout, eps)
    }

    pub fn attention(self, qkv: Tensor<2>, context: &AttentionContext) -> Tensor<2> {
        portable::attention(qkv, context)
    }

    pub fn swiglu(self, gate_up: Tensor<2>) -> Tensor<2> {
        portable::swiglu(gate_up)
    }

    pub fn gelu(self, x: Tensor<2>) -> Tensor<2> {
        portable::gelu(x)
    }

    pub fn cross_entropy(self, x: Tensor<2>, weight: Tensor<2>, targets: &[i32], divisor: f32) -> Tensor<1> {
        portable::cross_entropy(x, weight, targets, divisor)
    }

    pub fn token_nll(self, x: Tensor<2>, weight: Tensor<2>, targets: &[i32]) -> Tensor<1> {
        portable::token_nll(x, weight, targets)
    }

    pub fn dropout(self, x: Tensor<2>, mask: DropoutMask) -> Tensor<2> {
        portable::dropout(x, mask)
    }
}
