//! Pairs of a cheap operation and a linear layer that keep only the input of the pair. The backward pass recomputes the
//! intermediate result (selective recomputation, Korthikanti et al. 2022). A block's activations then need two thirds
//! of the memory, at the cost of one element-wise pass and with the same bits.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;

use super::accumulating::Accumulating;
use super::operations::{Host, Linear, RmsNorm, tensor};
use crate::ops::Activation;
use crate::ops::cpu::activation;
use crate::ops::cpu::gemm::{matmul, matmul_onto};
use crate::ops::differentiable::{Differentiable, saves_itself};
use crate::precision::Precision;

/// `rms_norm(x) weight^T`.
#[derive(Clone, Debug)]
pub struct NormLinear {
    pub norm: RmsNorm,
    pub weight: Host,
    pub precision: Precision,
}

impl NormLinear {
    fn linear(&self) -> Linear {
        Linear { x: Host::new(self.norm.forward()), weight: self.weight.clone(), precision: self.precision }
    }
}

impl Accumulating<3> for NormLinear {
    type Backend = Flex;
    type Saved = Self;

    fn forward(&self) -> FlexTensor {
        self.linear().forward()
    }

    fn saved(self) -> Self {
        self
    }

    /// Gradients for `x`, the norm's weight and the layer's weight. `x` is the residual stream, which already has a
    /// gradient.
    fn accumulate(
        saved: Self,
        upstream: FlexTensor,
        needed: [bool; 3],
        gradient: Option<FlexTensor>,
    ) -> [Option<FlexTensor>; 3] {
        let [x, norm_weight, weight] = needed;
        let [dnormed, dweight] = saved.linear().gradients(&Host::new(upstream), [x || norm_weight, weight]);
        let gradient = gradient.map(Host::new);
        let found = dnormed.map(|dnormed| saved.norm.gradients(&Host::new(dnormed), gradient.as_ref()));
        let [dx, dnorm] = found.map_or([None, None], |found| found.map(Some));
        [dx, dnorm, dweight]
    }
}

/// `activation(x)`, for several layers that read it.
#[derive(Clone, Debug)]
pub struct Activated {
    /// `[n, inputs]`.
    pub x: Host,
    pub activation: Activation,
}

impl Activated {
    /// Width of the output.
    fn width(&self) -> usize {
        let (_, inputs) = self.x.rows_and_columns();
        match self.activation {
            Activation::SwiGlu => inputs / 2,
            Activation::Gelu => inputs,
        }
    }

    fn values(&self) -> Vec<f32> {
        match self.activation {
            Activation::SwiGlu => activation::swiglu(self.x.values(), self.width()),
            Activation::Gelu => activation::gelu(self.x.values()),
        }
    }

    /// Gradient of `x`. Replaces `upstream` with the output.
    fn backward_in_place(&self, upstream: &mut [f32]) -> FlexTensor {
        let dx = match self.activation {
            Activation::SwiGlu => activation::swiglu_backward(self.x.values(), upstream, self.width()),
            Activation::Gelu => activation::gelu_backward(self.x.values(), upstream),
        };
        tensor(dx, self.x.shape())
    }
}

impl Differentiable<1> for Activated {
    type Backend = Flex;
    saves_itself!(1);

    fn forward(&self) -> FlexTensor {
        tensor(self.values(), [self.x.rows_and_columns().0, self.width()])
    }

    fn backward(saved: Self, upstream: FlexTensor, _needed: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let mut upstream = Host::new(upstream).values().to_vec();
        [Some(saved.backward_in_place(&mut upstream))]
    }
}

/// `activation(x) weight^T`.
#[derive(Clone, Debug)]
pub struct ActivatedLinear {
    pub activated: Activated,
    pub weight: Host,
    pub precision: Precision,
}

impl ActivatedLinear {
    fn linear(&self) -> Linear {
        self.linear_of(self.activated.values())
    }

    fn linear_of(&self, activated: Vec<f32>) -> Linear {
        let x = Host::new(tensor(activated, [self.activated.x.rows_and_columns().0, self.activated.width()]));
        Linear { x, weight: self.weight.clone(), precision: self.precision }
    }

    fn gradients(&self, upstream: &Host, needed: [bool; 2]) -> [Option<FlexTensor>; 2] {
        if !needed[0] {
            return self.linear().gradients(upstream, needed);
        }
        let mut values = matmul(upstream.view(), self.weight.view(), self.precision);
        let dx = self.activated.backward_in_place(&mut values);
        // `values` now holds the activation's output instead of its gradient.
        let [_, dweight] = self.linear_of(values).gradients(upstream, [false, needed[1]]);
        [Some(dx), dweight]
    }
}

impl Differentiable<2> for ActivatedLinear {
    type Backend = Flex;
    type Saved = Self;

    fn forward(&self) -> FlexTensor {
        self.linear().forward()
    }

    fn forward_saving(self, _needed: [bool; 2]) -> (FlexTensor, Self) {
        (self.forward(), self)
    }

    fn backward(saved: Self, upstream: FlexTensor, needed: [bool; 2]) -> [Option<FlexTensor>; 2] {
        saved.gradients(&Host::new(upstream), needed)
    }
}

/// `residual + activation(x) weight^T`.
#[derive(Clone, Debug)]
pub struct ActivatedLinearAdd {
    pub activated: ActivatedLinear,
    pub residual: Host,
}

impl Differentiable<3> for ActivatedLinearAdd {
    type Backend = Flex;
    type Saved = ActivatedLinear;

    fn forward(&self) -> FlexTensor {
        let linear = self.activated.linear();
        let [x, weight] = linear.operands();
        tensor(matmul_onto(self.residual.values(), x, weight.transposed(), linear.precision), self.residual.shape())
    }

    fn forward_saving(self, _needed: [bool; 3]) -> (FlexTensor, ActivatedLinear) {
        (self.forward(), self.activated)
    }

    fn backward(saved: ActivatedLinear, upstream: FlexTensor, needed: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let upstream = Host::new(upstream);
        let [dx, dweight] = saved.gradients(&upstream, [needed[0], needed[1]]);
        [dx, dweight, Some(upstream.into_inner())]
    }
}
