//! The extension trait, for Flex and for automatic differentiation over Flex.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};

use super::accumulating::{Accumulating, record_accumulating};
use super::operations::{
    Attention, CrossEntropy, Dropout, Embedding, Host, Linear, LinearAdd, QkNorm, RmsNorm, token_nll,
};
use super::recomputed::{Activated, ActivatedLinear, ActivatedLinearAdd, NormLinear};
use crate::ops::differentiable::{Differentiable, Tracked, record};
use crate::ops::{Activation, AttentionContext, DropoutMask, HeadLayout, LossOptions, Objective};
use crate::precision::Precision;

/// The portable operations as backend operations.
#[backend_extension(Flex, Autodiff)]
pub trait FusedOps: Backend {
    fn fused_embedding(weight: FloatTensor<Self>, ids: Arc<[usize]>) -> FloatTensor<Self>;
    fn fused_rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32) -> FloatTensor<Self>;
    fn fused_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>, precision: Precision) -> FloatTensor<Self>;
    fn fused_linear_add(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        precision: Precision,
    ) -> FloatTensor<Self>;
    fn fused_qk_norm(
        qkv: FloatTensor<Self>,
        query_weight: FloatTensor<Self>,
        key_weight: FloatTensor<Self>,
        layout: HeadLayout,
        eps: f32,
    ) -> FloatTensor<Self>;
    fn fused_attention(qkv: FloatTensor<Self>, context: AttentionContext) -> FloatTensor<Self>;
    fn fused_norm_linear(
        x: FloatTensor<Self>,
        norm_weight: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f32,
        precision: Precision,
    ) -> FloatTensor<Self>;
    fn fused_activated(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self>;
    fn fused_activated_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        activation: Activation,
        precision: Precision,
    ) -> FloatTensor<Self>;
    fn fused_activated_linear_add(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        activation: Activation,
        precision: Precision,
    ) -> FloatTensor<Self>;
    fn fused_dropout(x: FloatTensor<Self>, mask: DropoutMask) -> FloatTensor<Self>;
    fn fused_cross_entropy(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: Arc<[i32]>,
        objective: Objective,
        options: LossOptions,
        precision: Precision,
    ) -> FloatTensor<Self>;
    fn fused_token_nll(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: Arc<[i32]>,
        softcap: f32,
        precision: Precision,
    ) -> FloatTensor<Self>;
}

impl FusedOps for Flex {
    fn fused_embedding(weight: FloatTensor<Self>, ids: Arc<[usize]>) -> FloatTensor<Self> {
        Embedding { weight: Host::new(weight), ids }.forward()
    }

    fn fused_rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32) -> FloatTensor<Self> {
        RmsNorm { x: Host::new(x), weight: Host::new(weight), eps }.forward()
    }

    fn fused_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>, precision: Precision) -> FloatTensor<Self> {
        Linear { x: Host::new(x), weight: Host::new(weight), precision }.forward()
    }

    fn fused_linear_add(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        precision: Precision,
    ) -> FloatTensor<Self> {
        LinearAdd {
            linear: Linear { x: Host::new(x), weight: Host::new(weight), precision },
            residual: Host::new(residual),
        }
        .forward()
    }

    fn fused_qk_norm(
        qkv: FloatTensor<Self>,
        query_weight: FloatTensor<Self>,
        key_weight: FloatTensor<Self>,
        layout: HeadLayout,
        eps: f32,
    ) -> FloatTensor<Self> {
        QkNorm {
            qkv: Host::new(qkv),
            query_weight: Host::new(query_weight),
            key_weight: Host::new(key_weight),
            layout,
            eps,
        }
        .forward()
    }

    fn fused_attention(qkv: FloatTensor<Self>, context: AttentionContext) -> FloatTensor<Self> {
        Attention { qkv: Host::new(qkv), context }.forward()
    }

    fn fused_norm_linear(
        x: FloatTensor<Self>,
        norm_weight: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f32,
        precision: Precision,
    ) -> FloatTensor<Self> {
        let norm = RmsNorm { x: Host::new(x), weight: Host::new(norm_weight), eps };
        NormLinear { norm, weight: Host::new(weight), precision }.forward()
    }

    fn fused_activated(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        Activated { x: Host::new(x), activation }.forward()
    }

    fn fused_activated_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        activation: Activation,
        precision: Precision,
    ) -> FloatTensor<Self> {
        ActivatedLinear { activated: Activated { x: Host::new(x), activation }, weight: Host::new(weight), precision }
            .forward()
    }

    fn fused_activated_linear_add(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        activation: Activation,
        precision: Precision,
    ) -> FloatTensor<Self> {
        let activated = ActivatedLinear {
            activated: Activated { x: Host::new(x), activation },
            weight: Host::new(weight),
            precision,
        };
        ActivatedLinearAdd { activated, residual: Host::new(residual) }.forward()
    }

    fn fused_dropout(x: FloatTensor<Self>, mask: DropoutMask) -> FloatTensor<Self> {
        Dropout { x: Host::new(x), mask }.forward()
    }

    fn fused_cross_entropy(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: Arc<[i32]>,
        objective: Objective,
        options: LossOptions,
        precision: Precision,
    ) -> FloatTensor<Self> {
        CrossEntropy { x: Host::new(x), weight: Host::new(weight), targets, objective, options, precision }.forward()
    }

    fn fused_token_nll(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: Arc<[i32]>,
        softcap: f32,
        precision: Precision,
    ) -> FloatTensor<Self> {
        let (objective, options) = (Objective::cross_entropy(1.0), LossOptions { softcap, ..LossOptions::default() });
        token_nll(&CrossEntropy { x: Host::new(x), weight: Host::new(weight), targets, objective, options, precision })
    }
}

impl<C: CheckpointStrategy> FusedOps for Autodiff<Flex, C> {
    fn fused_embedding(weight: FloatTensor<Self>, ids: Arc<[usize]>) -> FloatTensor<Self> {
        record_accumulating::<C, _, _>([&weight], Embedding { weight: saved(&weight), ids })
    }

    fn fused_rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32) -> FloatTensor<Self> {
        record::<C, _, _>([&x, &weight], RmsNorm { x: saved(&x), weight: saved(&weight), eps })
    }

    fn fused_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>, precision: Precision) -> FloatTensor<Self> {
        record::<C, _, _>([&x, &weight], Linear { x: saved(&x), weight: saved(&weight), precision })
    }

    fn fused_linear_add(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        precision: Precision,
    ) -> FloatTensor<Self> {
        record::<C, _, _>(
            [&x, &weight, &residual],
            LinearAdd {
                linear: Linear { x: saved(&x), weight: saved(&weight), precision },
                residual: saved(&residual),
            },
        )
    }

    fn fused_qk_norm(
        qkv: FloatTensor<Self>,
        query_weight: FloatTensor<Self>,
        key_weight: FloatTensor<Self>,
        layout: HeadLayout,
        eps: f32,
    ) -> FloatTensor<Self> {
        record::<C, _, _>(
            [&qkv, &query_weight, &key_weight],
            QkNorm {
                qkv: saved(&qkv),
                query_weight: saved(&query_weight),
                key_weight: saved(&key_weight),
                layout,
                eps,
            },
        )
    }

    fn fused_attention(qkv: FloatTensor<Self>, context: AttentionContext) -> FloatTensor<Self> {
        record::<C, _, _>([&qkv], Attention { qkv: saved(&qkv), context })
    }

    fn fused_norm_linear(
        x: FloatTensor<Self>,
        norm_weight: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f32,
        precision: Precision,
    ) -> FloatTensor<Self> {
        let norm = RmsNorm { x: saved(&x), weight: saved(&norm_weight), eps };
        record_accumulating::<C, _, _>(
            [&x, &norm_weight, &weight],
            NormLinear { norm, weight: saved(&weight), precision },
        )
    }

    fn fused_activated(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        record::<C, _, _>([&x], Activated { x: saved(&x), activation })
    }

    fn fused_activated_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        activation: Activation,
        precision: Precision,
    ) -> FloatTensor<Self> {
        record::<C, _, _>(
            [&x, &weight],
            ActivatedLinear { activated: Activated { x: saved(&x), activation }, weight: saved(&weight), precision },
        )
    }

    fn fused_activated_linear_add(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        activation: Activation,
        precision: Precision,
    ) -> FloatTensor<Self> {
        let activated =
            ActivatedLinear { activated: Activated { x: saved(&x), activation }, weight: saved(&weight), precision };
        let operation = ActivatedLinearAdd { activated, residual: saved(&residual) };
        record::<C, _, _>([&x, &weight, &residual], operation)
    }

    fn fused_dropout(x: FloatTensor<Self>, mask: DropoutMask) -> FloatTensor<Self> {
        record::<C, _, _>([&x], Dropout { x: saved(&x), mask })
    }

    fn fused_cross_entropy(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: Arc<[i32]>,
        objective: Objective,
        options: LossOptions,
        precision: Precision,
    ) -> FloatTensor<Self> {
        record::<C, _, _>(
            [&x, &weight],
            CrossEntropy { x: saved(&x), weight: saved(&weight), targets, objective, options, precision },
        )
    }

    fn fused_token_nll(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: Arc<[i32]>,
        softcap: f32,
        precision: Precision,
    ) -> FloatTensor<Self> {
        let (objective, options) = (Objective::cross_entropy(1.0), LossOptions { softcap, ..LossOptions::default() });
        let nll =
            token_nll(&CrossEntropy { x: saved(&x), weight: saved(&weight), targets, objective, options, precision });
        <Self as burn::backend::AutodiffBackend>::from_inner(nll)
    }
}

fn saved(tensor: &Tracked<Flex>) -> Host {
    Host::new(tensor.primitive().clone())
}
