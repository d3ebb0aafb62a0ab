//! Fused operations on burn tensors.

use std::sync::Arc;

use burn::backend::Dispatch;
use burn::tensor::{Int, Tensor};

use super::extension::FusedOps;
use crate::ops::{Activation, AttentionContext, DropoutMask, HeadLayout, LossOptions, Objective};
use crate::precision::Precision;

/// See [`super::super::portable::embedding`].
pub fn embedding(weight: Tensor<2>, ids: Tensor<1, Int>) -> Tensor<2> {
    let ids: Vec<i64> = ids.into_data_as::<i64>().try_into_vec().expect("just converted to i64");
    let rows = weight.dims()[0];
    let row = |id: i64| usize::try_from(id).ok().filter(|id| *id < rows).expect("an id inside the vocabulary");
    let ids: Arc<[usize]> = ids.into_iter().map(row).collect();
    Tensor::from_dispatch(Dispatch::fused_embedding(weight.into_dispatch(), ids))
}

pub fn rms_norm(x: Tensor<2>, weight: Tensor<1>, eps: f32) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::fused_rms_norm(x.into_dispatch(), weight.into_dispatch(), eps))
}

pub fn linear(x: Tensor<2>, weight: Tensor<2>, precision: Precision) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::fused_linear(x.into_dispatch(), weight.into_dispatch(), precision))
}

pub fn linear_add(x: Tensor<2>, weight: Tensor<2>, residual: Tensor<2>, precision: Precision) -> Tensor<2> {
    let (x, weight, residual) = (x.into_dispatch(), weight.into_dispatch(), residual.into_dispatch());
    Tensor::from_dispatch(Dispatch::fused_linear_add(x, weight, residual, precision))
}

pub fn qk_norm(
    qkv: Tensor<2>,
    query_weight: Tensor<1>,
    key_weight: Tensor<1>,
    layout: HeadLayout,
    eps: f32,
) -> Tensor<2> {
    let (query, key) = (query_weight.into_dispatch(), key_weight.into_dispatch());
    Tensor::from_dispatch(Dispatch::fused_qk_norm(qkv.into_dispatch(), query, key, layout, eps))
}

pub fn attention(qkv: Tensor<2>, context: &AttentionContext) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::fused_attention(qkv.into_dispatch(), context.clone()))
}

pub fn norm_linear(
    x: Tensor<2>,
    norm_weight: Tensor<1>,
    weight: Tensor<2>,
    eps: f32,
    precision: Precision,
) -> Tensor<2> {
    let (x, norm_weight, weight) = (x.into_dispatch(), norm_weight.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(Dispatch::fused_norm_linear(x, norm_weight, weight, eps, precision))
}

pub fn activated(x: Tensor<2>, activation: Activation) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::fused_activated(x.into_dispatch(), activation))
}

pub fn activated_linear(x: Tensor<2>, activation: Activation, weight: Tensor<2>, precision: Precision) -> Tensor<2> {
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(Dispatch::fused_activated_linear(x, weight, activation, precision))
}

pub fn activated_linear_add(
    x: Tensor<2>,
    activation: Activation,
    weight: Tensor<2>,
    residual: Tensor<2>,
    precision: Precision,
) -> Tensor<2> {
    let (x, weight, residual) = (x.into_dispatch(), weight.into_dispatch(), residual.into_dispatch());
    Tensor::from_dispatch(Dispatch::fused_activated_linear_add(x, weight, residual, activation, precision))
}

pub fn cross_entropy(
    x: Tensor<2>,
    weight: Tensor<2>,
    targets: &[i32],
    objective: Objective,
    precision: Precision,
) -> Tensor<1> {
    loss(x, weight, targets, objective, &LossOptions::default(), precision)
}

pub fn loss(
    x: Tensor<2>,
    weight: Tensor<2>,
    targets: &[i32],
    objective: Objective,
    options: &LossOptions,
    precision: Precision,
) -> Tensor<1> {
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    let loss = Dispatch::fused_cross_entropy(x, weight, targets.into(), objective, options.clone(), precision);
    Tensor::from_dispatch(loss)
}

pub fn token_nll(x: Tensor<2>, weight: Tensor<2>, targets: &[i32], precision: Precision) -> Tensor<1> {
    capped_nll(x, weight, targets, 0.0, precision)
}

pub fn capped_nll(x: Tensor<2>, weight: Tensor<2>, targets: &[i32], softcap: f32, precision: Precision) -> Tensor<1> {
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(Dispatch::fused_token_nll(x, weight, targets.into(), softcap, precision))
}

pub fn dropout(x: Tensor<2>, mask: DropoutMask) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::fused_dropout(x.into_dispatch(), mask))
}
