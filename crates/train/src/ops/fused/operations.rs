//! Fused operations: inputs, forward pass and backward pass over host memory.

use std::sync::Arc;

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::TensorData;

use super::accumulating::Accumulating;
use crate::ops::cpu::attention::{Attended, SoftmaxScale};
use crate::ops::cpu::cross_entropy::{HeadWeight, TokenLoss};
use crate::ops::cpu::gemm::{View, matmul, matmul_onto};
use crate::ops::cpu::{attention, cross_entropy, dropout, embedding, norm};
use crate::ops::differentiable::{Differentiable, saves_itself};
use crate::ops::{AttentionContext, DropoutMask, HeadLayout, LossOptions, Objective};
use crate::precision::Precision;

/// A contiguous f32 tensor.
#[derive(Clone, Debug)]
pub struct Host(FlexTensor);

impl Host {
    pub fn new(tensor: FlexTensor) -> Self {
        Host(tensor.to_contiguous())
    }

    pub fn into_inner(self) -> FlexTensor {
        self.0
    }

    pub fn values(&self) -> &[f32] {
        self.0.as_slice().expect("made contiguous, and the model computes in f32")
    }

    pub fn shape(&self) -> Vec<usize> {
        self.0.layout().shape().to_vec()
    }

    pub fn rows_and_columns(&self) -> (usize, usize) {
        let [rows, columns] = self.0.layout().shape().dims();
        (rows, columns)
    }

    /// View of a two-dimensional tensor.
    pub fn view(&self) -> View<'_> {
        let (rows, columns) = self.rows_and_columns();
        View::new(self.values(), rows, columns)
    }
}

pub fn tensor(values: Vec<f32>, shape: impl Into<Vec<usize>>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape.into()))
}

#[derive(Clone, Debug)]
pub struct RmsNorm {
    pub x: Host,
    pub weight: Host,
    pub eps: f32,
}

impl Differentiable<2> for RmsNorm {
    type Backend = Flex;
    saves_itself!(2);

    fn forward(&self) -> FlexTensor {
        tensor(norm::rms_norm(self.x.values(), self.weight.values(), self.eps), self.x.shape())
    }

    fn backward(saved: Self, upstream: FlexTensor, _needed: [bool; 2]) -> [Option<FlexTensor>; 2] {
        saved.gradients(&Host::new(upstream), None).map(Some)
    }
}

impl RmsNorm {
    /// Gradients for `x` (accumulated onto `onto` if given) and the weight.
    pub fn gradients(&self, upstream: &Host, onto: Option<&Host>) -> [FlexTensor; 2] {
        let (x, weight) = (self.x.values(), self.weight.values());
        let (dx, dweight) = norm::rms_norm_backward(x, weight, upstream.values(), onto.map(Host::values), self.eps);
        [tensor(dx, self.x.shape()), tensor(dweight, self.weight.shape())]
    }
}

#[derive(Clone, Debug)]
pub struct QkNorm {
    pub qkv: Host,
    pub query_weight: Host,
    pub key_weight: Host,
    pub layout: HeadLayout,
    pub eps: f32,
}

impl Differentiable<3> for QkNorm {
    type Backend = Flex;
    saves_itself!(3);

    fn forward(&self) -> FlexTensor {
        let weights = [self.query_weight.values(), self.key_weight.values()];
        tensor(norm::qk_norm(self.qkv.values(), weights, self.layout, self.eps), self.qkv.shape())
    }

    fn backward(saved: Self, upstream: FlexTensor, _needed: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let upstream = Host::new(upstream);
        let weights = [saved.query_weight.values(), saved.key_weight.values()];
        let (dqkv, [dquery, dkey]) =
            norm::qk_norm_backward(saved.qkv.values(), weights, saved.layout, upstream.values(), saved.eps);
        [
            Some(tensor(dqkv, saved.qkv.shape())),
            Some(tensor(dquery, saved.query_weight.shape())),
            Some(tensor(dkey, saved.key_weight.shape())),
        ]
    }
}

/// `x weight^T`, for `x` `[n, in]` and `weight` `[out, in]`.
#[derive(Clone, Debug)]
pub struct Linear {
    pub x: Host,
    pub weight: Host,
    pub precision: Precision,
}

impl Linear {
    pub fn operands(&self) -> [View<'_>; 2] {
        [self.x.view(), self.weight.view()]
    }

    pub fn gradients(&self, upstream: &Host, needed: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let [upstream, x, weight] = [upstream, &self.x, &self.weight].map(Host::view);
        let dx = needed[0].then(|| tensor(matmul(upstream, weight, self.precision), self.x.shape()));
        let dweight = needed[1].then(|| tensor(matmul(upstream.transposed(), x, self.precision), self.weight.shape()));
        [dx, dweight]
    }
}

impl Differentiable<2> for Linear {
    type Backend = Flex;
    saves_itself!(2);

    fn forward(&self) -> FlexTensor {
        let [x, weight] = self.operands();
        let shape = [self.x.rows_and_columns().0, self.weight.rows_and_columns().0];
        tensor(matmul(x, weight.transposed(), self.precision), shape)
    }

    fn backward(saved: Self, upstream: FlexTensor, needed: [bool; 2]) -> [Option<FlexTensor>; 2] {
        saved.gradients(&Host::new(upstream), needed)
    }
}

/// `residual + x weight^T`.
#[derive(Clone, Debug)]
pub struct LinearAdd {
    pub linear: Linear,
    pub residual: Host,
}

impl Differentiable<3> for LinearAdd {
    type Backend = Flex;
    type Saved = Linear;

    fn forward(&self) -> FlexTensor {
        let [x, weight] = self.linear.operands();
        tensor(
            matmul_onto(self.residual.values(), x, weight.transposed(), self.linear.precision),
            self.residual.shape(),
        )
    }

    fn forward_saving(self, _needed: [bool; 3]) -> (FlexTensor, Linear) {
        (self.forward(), self.linear)
    }

    fn backward(saved: Linear, upstream: FlexTensor, needed: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let upstream = Host::new(upstream);
        let [dx, dweight] = saved.gradients(&upstream, [needed[0], needed[1]]);
        [dx, dweight, Some(upstream.0)]
    }
}

#[derive(Clone, Debug)]
pub struct Attention {
    pub qkv: Host,
    pub context: AttentionContext,
}

impl Attention {
    fn attended(&self) -> (FlexTensor, Arc<[SoftmaxScale]>) {
        let context = &self.context;
        let Attended { out, scales } = attention::attention(self.qkv.values(), context);
        (tensor(out, [context.batch * context.seq, context.layout.query_width()]), scales.into())
    }
}

impl Differentiable<1> for Attention {
    type Backend = Flex;
    /// Also holds the output, which the next operation keeps anyway, and the scales of its softmax.
    type Saved = (Self, Host, Arc<[SoftmaxScale]>);

    fn forward(&self) -> FlexTensor {
        self.attended().0
    }

    fn forward_saving(self, _needed: [bool; 1]) -> (FlexTensor, Self::Saved) {
        let (out, scales) = self.attended();
        (out.clone(), (self, Host::new(out), scales))
    }

    fn backward(saved: Self::Saved, upstream: FlexTensor, _needed: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let (Attention { qkv, context }, out, scales) = saved;
        let upstream = Host::new(upstream);
        let dqkv = attention::attention_backward(qkv.values(), out.values(), &scales, upstream.values(), &context);
        [Some(tensor(dqkv, qkv.shape()))]
    }
}

#[derive(Clone, Debug)]
pub struct Dropout {
    pub x: Host,
    pub mask: DropoutMask,
}

impl Differentiable<1> for Dropout {
    type Backend = Flex;
    /// The mask recomputes its factors.
    type Saved = DropoutMask;

    fn forward(&self) -> FlexTensor {
        tensor(dropout::dropout(self.x.values(), self.mask), self.x.shape())
    }

    fn forward_saving(self, _needed: [bool; 1]) -> (FlexTensor, DropoutMask) {
        (self.forward(), self.mask)
    }

    fn backward(mask: DropoutMask, upstream: FlexTensor, _needed: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let x = Host::new(upstream);
        [Some(Dropout { x, mask }.forward())]
    }
}

#[derive(Clone, Debug)]
pub struct Embedding {
    pub weight: Host,
    pub ids: Arc<[usize]>,
}

impl Accumulating<1> for Embedding {
    type Backend = Flex;
    /// Rows and columns of the weight, and the ids.
    type Saved = (usize, usize, Arc<[usize]>);

    fn forward(&self) -> FlexTensor {
        let (_, width) = self.weight.rows_and_columns();
        tensor(embedding::embedding(self.weight.values(), &self.ids, width), [self.ids.len(), width])
    }

    fn saved(self) -> Self::Saved {
        let (rows, width) = self.weight.rows_and_columns();
        (rows, width, self.ids)
    }

    fn accumulate(
        saved: Self::Saved,
        upstream: FlexTensor,
        _needed: [bool; 1],
        gradient: Option<FlexTensor>,
    ) -> [Option<FlexTensor>; 1] {
        let (rows, width, ids) = saved;
        let gradient = gradient.map(|gradient| gradient.to_contiguous());
        let mut gradient = gradient.unwrap_or_else(|| tensor(vec![0.0; rows * width], [rows, width]));
        embedding::add_rows(gradient.storage_mut(), &ids, width, Host::new(upstream).values());
        [Some(gradient)]
    }
}

/// The loss of a tied head.
///
/// Its gradients cost a second product with the head's weight, so the forward pass computes them while it holds the
/// logits; the backward pass only multiplies them by the upstream scalar.
#[derive(Clone, Debug)]
pub struct CrossEntropy {
    pub x: Host,
    pub weight: Host,
    pub targets: Arc<[i32]>,
    pub objective: Objective,
    pub options: LossOptions,
    pub precision: Precision,
}

impl CrossEntropy {
    pub fn head(&self) -> cross_entropy::Head<'_> {
        let width = self.x.rows_and_columns().1;
        let CrossEntropy { x, weight, targets, options, precision, .. } = self;
        cross_entropy::Head {
            x: x.values(),
            weight: weight.values(),
            width,
            targets,
            first: 0,
            options,
            precision: *precision,
        }
    }

    fn terms(&self, losses: &[TokenLoss]) -> FlexTensor {
        let Objective { divisor, z_loss } = self.objective;
        let mean = |term: fn(&TokenLoss) -> f32| {
            losses.iter().map(|loss| f64::from(term(loss))).sum::<f64>() / f64::from(divisor)
        };
        let mut terms = vec![mean(|loss| loss.nll) as f32];
        if self.objective.has_z_loss() {
            terms.push((f64::from(z_loss) * mean(|loss| loss.squared_log_sum)) as f32);
        }
        tensor(terms, [self.objective.terms()])
    }
}

impl Differentiable<2> for CrossEntropy {
    type Backend = Flex;
    /// Gradients of `x` and the weight for an upstream gradient of 1 for each term. Each has the size of its input, and
    /// the weight's costs a product, so it is computed only if needed.
    type Saved = [Option<Host>; 2];

    fn forward(&self) -> FlexTensor {
        self.terms(&cross_entropy::token_losses(self.head()))
    }

    fn forward_saving(self, needed: [bool; 2]) -> (FlexTensor, [Option<Host>; 2]) {
        let head = if needed[1] { HeadWeight::Trained } else { HeadWeight::Frozen };
        let (losses, gradients) = cross_entropy::token_losses_with_gradients(self.head(), self.objective, head);
        let x = tensor(gradients.x, self.x.shape());
        let weight = gradients.weight.map(|gradient| tensor(gradient, self.weight.shape()));
        (self.terms(&losses), [Some(Host(x)), weight.map(Host)])
    }

    fn backward(saved: [Option<Host>; 2], upstream: FlexTensor, _needed: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let upstream = Host::new(upstream);
        let scale = upstream.values()[0];
        let all_equal = upstream.values().iter().all(|other| other.to_bits() == scale.to_bits());
        assert!(all_equal, "the terms of a loss are only ever added");
        saved.map(|gradient| gradient.map(|gradient| scaled(gradient, scale)))
    }
}

fn scaled(gradient: Host, scale: f32) -> FlexTensor {
    if scale == 1.0 {
        return gradient.0;
    }
    let values = gradient.values().iter().map(|value| value * scale).collect();
    tensor(values, gradient.shape())
}

/// Loss of each token, without a gradient.
pub fn token_nll(operation: &CrossEntropy) -> FlexTensor {
    let losses = cross_entropy::token_losses(operation.head());
    tensor(losses.iter().map(|loss| loss.nll).collect(), [losses.len()])
}
