//! Device operations on burn tensors.

use burn::backend::Dispatch;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use super::extension::CubeOps;
use super::launch::activation::{Activated, ActivationShape};
use super::launch::attention::{Attention, AttentionShape};
use super::launch::dropout::Dropout;
use super::launch::embedding::EmbeddingShape;
use super::launch::norm::{Items, Norm, NormShape};
use super::launch::optimizer::{Eight, Updates, sums_of};
use super::loss::LossShape;
use super::raw::CubeKernels;
use super::uploaded::Uploaded;
use crate::ops::{Activation, AdamWStep, AttentionContext, DropoutMask, HeadLayout, Objective};
use crate::precision::Precision;

/// Logits per part of the loss: 256 MiB.
const LOGITS: usize = 1 << 26;

/// Parameters that one optimizer operation takes.
const MAX: usize = Eight::<Dispatch>::MAX;

fn dtype(precision: Precision) -> DType {
    match precision {
        Precision::F32 => DType::F32,
        Precision::Bf16 => DType::BF16,
    }
}

/// See `portable::embedding`.
pub fn embedding(weight: Tensor<2>, ids: Tensor<1, Int>) -> Tensor<2> {
    let ([vocab, width], [tokens]) = (weight.dims(), ids.dims());
    let shape = EmbeddingShape { tokens, vocab, width };
    Tensor::from_dispatch(Dispatch::device_embedding(weight.into_dispatch(), ids.into_dispatch(), shape))
}

/// See `portable::rms_norm`.
pub fn rms_norm(x: Tensor<2>, weight: Tensor<1>, eps: f32) -> Tensor<2> {
    rms_norm_as(x, weight, eps, DType::F32)
}

fn rms_norm_as(x: Tensor<2>, weight: Tensor<1>, eps: f32, dtype: DType) -> Tensor<2> {
    let [rows, width] = x.dims();
    let shape = NormShape { items: Items { width, first: 1, second: 0, passed: 0 }, rows, eps, dtype };
    normed(x, [weight.clone(), weight], shape)
}

/// See `portable::qk_norm`; elements have the type of `qkv`.
pub fn qk_norm(
    qkv: Tensor<2>,
    query_weight: Tensor<1>,
    key_weight: Tensor<1>,
    layout: HeadLayout,
    eps: f32,
) -> Tensor<2> {
    let HeadLayout { heads, kv_heads, head_dim } = layout;
    let items = Items { width: head_dim, first: heads, second: kv_heads, passed: kv_heads };
    let shape = NormShape { items, rows: qkv.dims()[0], eps, dtype: qkv.dtype() };
    normed(qkv, [query_weight, key_weight], shape)
}

fn normed(x: Tensor<2>, weights: [Tensor<1>; 2], shape: NormShape) -> Tensor<2> {
    let [first, second] = weights.map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::device_norm(Norm { x: x.into_dispatch(), first, second, shape }))
}

/// See `portable::linear`.
pub fn linear(x: Tensor<2>, weight: Tensor<2>, precision: Precision) -> Tensor<2> {
    linear_as(x, weight, precision, DType::F32)
}

fn linear_as(x: Tensor<2>, weight: Tensor<2>, precision: Precision, output: DType) -> Tensor<2> {
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(Dispatch::device_linear(x, weight, dtype(precision), output))
}

/// See `portable::linear_add`.
pub fn linear_add(x: Tensor<2>, weight: Tensor<2>, residual: Tensor<2>, precision: Precision) -> Tensor<2> {
    residual + linear(x, weight, precision)
}

/// See `portable::norm_linear`. The output has the operands' precision, because attention and activations read it from
/// memory.
pub fn norm_linear(
    x: Tensor<2>,
    norm_weight: Tensor<1>,
    weight: Tensor<2>,
    eps: f32,
    precision: Precision,
) -> Tensor<2> {
    linear_as(rms_norm_as(x, norm_weight, eps, dtype(precision)), weight, precision, dtype(precision))
}

/// See `portable::activated_linear`.
pub fn activated_linear(x: Tensor<2>, activation: Activation, weight: Tensor<2>, precision: Precision) -> Tensor<2> {
    linear(activated(x, activation), weight, precision)
}

/// See `portable::activated`; elements have the type of `x`.
pub fn activated(x: Tensor<2>, activation: Activation) -> Tensor<2> {
    let [rows, columns] = x.dims();
    let shape = ActivationShape::new(activation, rows, columns);
    Tensor::from_dispatch(Dispatch::device_activation(Activated { x: x.into_dispatch(), shape }))
}

/// See `portable::activated_linear_add`.
pub fn activated_linear_add(
    x: Tensor<2>,
    activation: Activation,
    weight: Tensor<2>,
    residual: Tensor<2>,
    precision: Precision,
) -> Tensor<2> {
    residual + activated_linear(x, activation, weight, precision)
}

/// See `portable::attention`; elements have the type of `qkv`, and sums are f32.
pub fn attention(qkv: Tensor<2>, context: &AttentionContext) -> Tensor<2> {
    let AttentionContext { batch, seq, layout, .. } = *context;
    let Uploaded { cos, sin, starts } = context.uploaded.get_or_init(|| upload(context, &qkv.device())).clone();
    Tensor::from_dispatch(Dispatch::device_attention(Attention {
        qkv: qkv.into_dispatch(),
        cos: cos.into_dispatch(),
        sin: sin.into_dispatch(),
        starts: starts.into_dispatch(),
        shape: AttentionShape { batch, seq, layout },
    }))
}

fn upload(context: &AttentionContext, device: &Device) -> Uploaded {
    let length = context.seq * context.rope.half;
    let table = |table: &[f32]| Tensor::from_data(TensorData::new(table[..length].to_vec(), [length]), device);
    let starts = context.starts.iter().map(|start| *start as i32).collect();
    Uploaded { cos: table(&context.rope.cos), sin: table(&context.rope.sin), starts: integers(starts, device) }
}

/// See `portable::dropout`; the factors are the same.
pub fn dropout(x: Tensor<2>, mask: DropoutMask) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::device_dropout(Dropout { x: x.into_dispatch(), mask }))
}

/// See `portable::cross_entropy`.
pub fn cross_entropy(
    x: Tensor<2>,
    weight: Tensor<2>,
    targets: &[i32],
    objective: Objective,
    precision: Precision,
) -> Tensor<1> {
    let shape = loss_shape(&x, &weight, objective, precision);
    cross_entropy_of(x, weight, targets, shape)
}

/// The loss with parts of `shape.part` rows.
pub(super) fn cross_entropy_of(x: Tensor<2>, weight: Tensor<2>, targets: &[i32], shape: LossShape) -> Tensor<1> {
    let targets = integers(targets.to_vec(), &x.device());
    let (x, weight, targets) = (x.into_dispatch(), weight.into_dispatch(), targets.into_dispatch());
    Tensor::from_dispatch(Dispatch::device_cross_entropy(x, weight, targets, shape))
}

/// See `portable::token_nll`.
pub fn token_nll(x: Tensor<2>, weight: Tensor<2>, targets: &[i32], precision: Precision) -> Tensor<1> {
    let shape = loss_shape(&x, &weight, Objective::cross_entropy(1.0), precision);
    let targets = integers(targets.to_vec(), &x.device());
    let (x, weight, targets) = (x.into_dispatch(), weight.into_dispatch(), targets.into_dispatch());
    Tensor::from_dispatch(Dispatch::device_token_nll(x, weight, targets, shape))
}

pub(super) fn loss_shape(x: &Tensor<2>, weight: &Tensor<2>, objective: Objective, precision: Precision) -> LossShape {
    let ([rows, width], [vocab, _]) = (x.dims(), weight.dims());
    LossShape { rows, width, vocab, objective, part: (LOGITS / vocab).clamp(1, rows), compute: dtype(precision) }
}

/// L2 norm over all these tensors: `[1]`.
///
/// # Panics
/// If `tensors` is empty.
pub fn global_norm(tensors: Vec<Tensor<1>>) -> Tensor<1> {
    let places: Vec<usize> = tensors.iter().map(|tensor| sums_of(tensor.dims()[0])).collect();
    let mut sums = Tensor::<1>::zeros([places.iter().sum::<usize>()], &tensors[0].device()).into_dispatch();
    let mut offset = 0;
    for (group, places) in tensors.chunks(MAX).zip(places.chunks(MAX)) {
        let group: Vec<_> = group.iter().map(|tensor| tensor.clone().into_dispatch()).collect();
        sums = Dispatch::cube_squares(sums, Eight::new(group.clone(), &group[0]), group.len(), offset);
        offset += places.iter().sum::<usize>();
    }
    Tensor::from_dispatch(Dispatch::cube_root(sums))
}

/// A parameter and its moments, all flat.
pub struct Trained {
    pub parameter: Tensor<1>,
    pub moments: [Tensor<1>; 2],
}

/// One step of AdamW for parameters and their gradients, clipped by the global `norm` `[1]` and its limit `clip` (0
/// disables it); a norm that is not finite changes nothing. `step.gradient_scale` is ignored.
pub fn adamw(given: Vec<(Trained, Tensor<1>)>, norm: &Tensor<1>, step: AdamWStep, clip: f32) -> Vec<Trained> {
    let mut stepped = Vec::with_capacity(given.len());
    let mut given = given.into_iter().peekable();
    while given.peek().is_some() {
        let norm = norm.clone().into_dispatch();
        let [mut parameters, mut gradients, mut first, mut second] = [const { Vec::new() }; 4];
        for (Trained { parameter, moments: [mean, square] }, gradient) in given.by_ref().take(MAX) {
            parameters.push(parameter.into_dispatch());
            gradients.push(gradient.into_dispatch());
            first.push(mean.into_dispatch());
            second.push(square.into_dispatch());
        }
        let count = parameters.len();
        let [parameters, gradients, first, second] =
            [parameters, gradients, first, second].map(|tensors| Eight::new(tensors, &norm));
        let updates = Updates { parameters, gradients, first, second, count, norm, clip, step };
        let (parameters, first, second) = Dispatch::cube_adamw(updates);
        let moments = first.into_array().into_iter().zip(second.into_array());
        for (parameter, (first, second)) in parameters.into_array().into_iter().zip(moments).take(count) {
            let [parameter, first, second] = [parameter, first, second].map(Tensor::from_dispatch);
            stepped.push(Trained { parameter, moments: [first, second] });
        }
    }
    stepped
}

pub(super) fn integers(values: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}
