//! Every operation built from stock burn tensors: runs on every device and is the reference for tests of the fused
//! kernels.

use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData, activation};

use super::{Activation, AttentionContext, DropoutMask, HeadLayout, LossOptions, Objective};
use crate::precision::Precision;

/// Gathers rows of `weight` `[vocab, d]` at `ids` `[n]`: `[n, d]`.
pub fn embedding(weight: Tensor<2>, ids: Tensor<1, Int>) -> Tensor<2> {
    weight.select(0, ids)
}

/// `x / sqrt(mean(x^2) + eps) * weight` over the last dimension (Zhang and Sennrich 2019).
pub fn rms_norm(x: Tensor<2>, weight: Tensor<1>, eps: f32) -> Tensor<2> {
    let inverse = x.clone().square().mean_dim(1).add_scalar(eps).sqrt().recip();
    x * inverse * weight.unsqueeze()
}

/// `a b` with operands rounded to `precision`; the result is f32.
fn product<const D: usize>(a: Tensor<D>, b: Tensor<D>, precision: Precision) -> Tensor<D> {
    match precision {
        Precision::F32 => a.matmul(b),
        Precision::Bf16 => a.cast(DType::BF16).matmul(b.cast(DType::BF16)).cast(DType::F32),
    }
}

/// `x` `[n, in]` times the transpose of `weight` `[out, in]`: `[n, out]`.
pub fn linear(x: Tensor<2>, weight: Tensor<2>, precision: Precision) -> Tensor<2> {
    product(x, weight.transpose(), precision)
}

pub fn linear_add(x: Tensor<2>, weight: Tensor<2>, residual: Tensor<2>, precision: Precision) -> Tensor<2> {
    residual + linear(x, weight, precision)
}

/// RMSNorm of each query head with `query_weight` and of each key head with `key_weight`, both `[head_dim]`; values
/// pass through unchanged.
pub fn qk_norm(
    qkv: Tensor<2>,
    query_weight: Tensor<1>,
    key_weight: Tensor<1>,
    layout: HeadLayout,
    eps: f32,
) -> Tensor<2> {
    let [rows, width] = qkv.dims();
    let (query, key) = (layout.query_width(), layout.key_width());
    let normed = |from: usize, columns: usize, weight: Tensor<1>| {
        let heads = qkv.clone().slice([0..rows, from..from + columns]);
        let heads = heads.reshape([rows * columns / layout.head_dim, layout.head_dim]);
        rms_norm(heads, weight, eps).reshape([rows, columns])
    };
    let queries = normed(0, query, query_weight);
    let keys = normed(query, key, key_weight);
    let values = qkv.clone().slice([0..rows, query + key..width]);
    Tensor::cat(vec![queries, keys, values], 1)
}

/// Causal attention within documents, with rotary positions and grouped heads.
///
/// `qkv` is `[batch * seq, (heads + 2 kv_heads) * head_dim]`, the output `[batch * seq, heads * head_dim]`.
pub fn attention(qkv: Tensor<2>, context: &AttentionContext) -> Tensor<2> {
    let AttentionContext { batch, seq, layout, .. } = *context;
    let device = qkv.device();
    let columns = |from: usize, heads: usize| {
        let range = from..from + heads * layout.head_dim;
        let part = qkv.clone().slice([0..batch * seq, range]);
        part.reshape([batch, seq, heads, layout.head_dim]).swap_dims(1, 2)
    };
    let (query, key) = (layout.query_width(), layout.key_width());
    let (cos, sin) = rotary_tensors(context, &device);
    let queries = rotate(columns(0, layout.heads), cos.clone(), sin.clone());
    let keys = repeat_heads(rotate(columns(query, layout.kv_heads), cos, sin), layout.group());
    let values = repeat_heads(columns(query + key, layout.kv_heads), layout.group());

    let scale = 1.0 / (layout.head_dim as f32).sqrt();
    let scores = product(queries, keys.transpose(), context.precision).mul_scalar(scale);
    let hidden = hidden_positions(context, &device).expand([batch, layout.heads, seq, seq]);
    let weights = activation::softmax(scores.mask_fill(hidden, f32::MIN), 3);
    product(weights, values, context.precision).swap_dims(1, 2).reshape([batch * seq, query])
}

/// `silu(gate) * up` for rows `[gate, up]` of `[n, 2 * hidden]`.
fn swiglu(gate_up: Tensor<2>) -> Tensor<2> {
    let [rows, width] = gate_up.dims();
    let gate = gate_up.clone().slice([0..rows, 0..width / 2]);
    let up = gate_up.slice([0..rows, width / 2..width]);
    activation::silu(gate) * up
}

/// The exact GELU, `x * (1 + erf(x / sqrt(2))) / 2` (Hendrycks and Gimpel 2016).
fn gelu(x: Tensor<2>) -> Tensor<2> {
    let erf = x.clone().mul_scalar(std::f32::consts::FRAC_1_SQRT_2).erf();
    x * erf.add_scalar(1.0).mul_scalar(0.5)
}

/// `linear(rms_norm(x, norm_weight), weight)`.
pub fn norm_linear(
    x: Tensor<2>,
    norm_weight: Tensor<1>,
    weight: Tensor<2>,
    eps: f32,
    precision: Precision,
) -> Tensor<2> {
    linear(rms_norm(x, norm_weight, eps), weight, precision)
}

/// `linear(activation(x), weight)`; with SwiGLU, `x` is `[n, 2 * hidden]`.
pub fn activated_linear(x: Tensor<2>, activation: Activation, weight: Tensor<2>, precision: Precision) -> Tensor<2> {
    linear(activated(x, activation), weight, precision)
}

/// SwiGLU or GELU; with SwiGLU, `x` is `[n, 2 * hidden]`.
pub fn activated(x: Tensor<2>, activation: Activation) -> Tensor<2> {
    match activation {
        Activation::SwiGlu => swiglu(x),
        Activation::Gelu => gelu(x),
    }
}

/// `residual + activated_linear(x, activation, weight)`.
pub fn activated_linear_add(
    x: Tensor<2>,
    activation: Activation,
    weight: Tensor<2>,
    residual: Tensor<2>,
    precision: Precision,
) -> Tensor<2> {
    residual + activated_linear(x, activation, weight, precision)
}

/// Loss terms of the logits `x weight^T`, `[objective.terms()]`: the sum of `-log softmax[target]` over targets `>= 0`,
/// then, if enabled, the z-loss over the same rows; both divided by `objective.divisor`. Only the gradient of their sum
/// is defined, because the fused implementations compute no other.
pub fn cross_entropy(
    x: Tensor<2>,
    weight: Tensor<2>,
    targets: &[i32],
    objective: Objective,
    precision: Precision,
) -> Tensor<1> {
    loss(x, weight, targets, objective, &LossOptions::default(), precision)
}

/// `cap tanh(logits / cap)`; a cap of 0 changes nothing.
pub fn capped<const D: usize>(logits: Tensor<D>, cap: f32) -> Tensor<D> {
    if cap == 0.0 { logits } else { logits.div_scalar(cap).tanh().mul_scalar(cap) }
}

/// [`cross_entropy`] with options.
pub fn loss(
    x: Tensor<2>,
    weight: Tensor<2>,
    targets: &[i32],
    objective: Objective,
    options: &LossOptions,
    precision: Precision,
) -> Tensor<1> {
    let rows = targets.len();
    let weighted = |losses: Tensor<1>| match (&options.token_weights, &options.row_weights) {
        (None, None) => losses,
        _ => {
            let weight = |(row, target): (usize, &i32)| options.weight(row, *target);
            let weights: Vec<f32> = targets.iter().enumerate().map(weight).collect();
            let weights = Tensor::from_data(TensorData::new(weights, [rows]), &losses.device());
            losses * weights
        }
    };
    // `sum` may use float atomics on GPUs, whose bits vary between runs; `sum_dim` does not.
    let mean = |losses: Tensor<1>| losses.reshape([1, rows]).sum_dim(1).reshape([1]).div_scalar(objective.divisor);
    let logits = capped(linear(x, weight, precision), options.softcap);
    let cross_entropy = mean(weighted(nll_of_logits(logits.clone(), targets)));
    if !objective.has_z_loss() {
        return cross_entropy;
    }
    let squares = log_sums(logits).square() * weights_of_rows(targets, 1.0, &cross_entropy.device());
    Tensor::cat(vec![cross_entropy, mean(weighted(squares)).mul_scalar(objective.z_loss)], 0)
}

/// `-log softmax(x weight^T)[target]` in nats, 0 for negative targets: `[n]`.
pub fn token_nll(x: Tensor<2>, weight: Tensor<2>, targets: &[i32], precision: Precision) -> Tensor<1> {
    nll_of_logits(linear(x, weight, precision), targets)
}

/// [`token_nll`] of logits with a soft cap.
pub fn capped_nll(x: Tensor<2>, weight: Tensor<2>, targets: &[i32], softcap: f32, precision: Precision) -> Tensor<1> {
    nll_of_logits(capped(linear(x, weight, precision), softcap), targets)
}

fn nll_of_logits(logits: Tensor<2>, targets: &[i32]) -> Tensor<1> {
    let (rows, device) = (targets.len(), logits.device());
    let logs = activation::log_softmax(logits, 1);
    let indices: Vec<i32> = targets.iter().map(|target| (*target).max(0)).collect();
    let indices = Tensor::<2, Int>::from_data(TensorData::new(indices, [rows, 1]), &device);
    logs.gather(1, indices).reshape([rows]) * weights_of_rows(targets, -1.0, &device)
}

/// `counted` for rows with a target, 0 elsewhere: `[n]`.
fn weights_of_rows(targets: &[i32], counted: f32, device: &Device) -> Tensor<1> {
    let weights: Vec<f32> = targets.iter().map(|target| if *target < 0 { 0.0 } else { counted }).collect();
    Tensor::from_data(TensorData::new(weights, [targets.len()]), device)
}

/// Log-sum-exp of each row: `[n]`.
fn log_sums(logits: Tensor<2>) -> Tensor<1> {
    let rows = logits.dims()[0];
    let largest = logits.clone().detach().max_dim(1);
    ((logits - largest.clone()).exp().sum_dim(1).log() + largest).reshape([rows])
}

/// Multiplies `x` by its dropout factors.
pub fn dropout(x: Tensor<2>, mask: DropoutMask) -> Tensor<2> {
    let [rows, columns] = x.dims();
    let factors = TensorData::new(mask.factors(rows * columns), [rows, columns]);
    let factors = Tensor::<2>::from_data(factors, &x.device());
    x * factors
}

fn rotary_tensors(context: &AttentionContext, device: &Device) -> (Tensor<4>, Tensor<4>) {
    let (seq, half) = (context.seq, context.rope.half);
    let upload = |table: &[f32]| {
        Tensor::<4>::from_data(TensorData::new(table[..seq * half].to_vec(), [1, 1, seq, half]), device)
    };
    (upload(&context.rope.cos), upload(&context.rope.sin))
}

/// Rotates pairs (j, j + half) of the last dimension (Hugging Face's half rotation).
fn rotate(x: Tensor<4>, cos: Tensor<4>, sin: Tensor<4>) -> Tensor<4> {
    let [batch, heads, seq, width] = x.dims();
    let first = x.clone().slice([0..batch, 0..heads, 0..seq, 0..width / 2]);
    let second = x.slice([0..batch, 0..heads, 0..seq, width / 2..width]);
    let turned_first = first.clone() * cos.clone() - second.clone() * sin.clone();
    let turned_second = second * cos + first * sin;
    Tensor::cat(vec![turned_first, turned_second], 3)
}

fn repeat_heads(x: Tensor<4>, times: usize) -> Tensor<4> {
    if times == 1 {
        return x;
    }
    let [batch, heads, seq, width] = x.dims();
    let repeated = x.reshape([batch, heads, 1, seq, width]).expand([batch, heads, times, seq, width]);
    repeated.reshape([batch, heads * times, seq, width])
}

/// `[batch, 1, seq, seq]`: true where the row's token must not attend to the column's.
fn hidden_positions(context: &AttentionContext, device: &Device) -> Tensor<4, Bool> {
    let AttentionContext { batch, seq, .. } = *context;
    let starts: Vec<i32> = context.starts.iter().map(|start| *start as i32).collect();
    let starts = Tensor::<4, Int>::from_data(TensorData::new(starts, [batch, 1, seq, 1]), device);
    let positions: Vec<i32> = (0..seq as i32).collect();
    let columns = Tensor::<4, Int>::from_data(TensorData::new(positions.clone(), [1, 1, 1, seq]), device);
    let rows = Tensor::<4, Int>::from_data(TensorData::new(positions, [1, 1, seq, 1]), device);
    let shape = [batch, 1, seq, seq];
    let later = columns.clone().expand(shape).greater(rows.expand(shape));
    let earlier = columns.expand(shape).lower(starts.expand(shape));
    later.bool_or(earlier)
}
