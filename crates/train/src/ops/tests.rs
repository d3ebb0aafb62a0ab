//! Compares each fused operation with the portable one: outputs and gradients, on shapes that fill no vector, block or
//! tile.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::cpu::activation;
use super::fixtures::{assert_all_close, assert_close, context, normal, results, values};
use super::*;
use crate::precision::Precision;
use stepwell_base::rng::Rng;

const FUSED: Kernels = Kernels { implementation: Implementation::Fused, precision: Precision::F32 };
const PORTABLE: Kernels = Kernels { implementation: Implementation::Portable, precision: Precision::F32 };

/// Weighted sum of the output, so that no two elements have the same gradient.
fn weighted_sum<const D: usize>(output: Tensor<D>) -> Tensor<1> {
    let len = output.shape().num_elements();
    let weights = normal(len, 99);
    let weights = Tensor::<1>::from_data(TensorData::new(weights, [len]), &output.device());
    (output.reshape([len]) * weights).sum()
}

fn leaf<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    fixtures::leaf(shape, seed, &Device::flex().autodiff())
}

fn leaf_of<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), &Device::flex().autodiff()).require_grad()
}

/// Runs `operation` in both implementations and compares outputs and the gradients of all inputs.
fn compare<const M: usize, const V: usize>(
    what: &str,
    matrices: [[usize; 2]; M],
    vectors: [usize; V],
    operation: impl Fn(Kernels, [Tensor<2>; M], [Tensor<1>; V]) -> Tensor<1>,
) {
    let run = |kernels| {
        let device = Device::flex().autodiff();
        results(&device, matrices, vectors, |matrices, vectors| operation(kernels, matrices, vectors))
    };
    assert_all_close(&run(FUSED), &run(PORTABLE), what);
}

#[test]
fn rms_norm_agrees() {
    for (rows, width) in [(1, 1), (1, 17), (33, 64), (700, 37)] {
        compare("rms_norm", [[rows, width]], [width], |kernels, [x], [weight]| {
            weighted_sum(kernels.rms_norm(x, weight, 1e-5))
        });
    }
}

#[test]
fn the_epsilon_of_the_norm_counts() {
    let small = Tensor::<2>::from_data(TensorData::new(vec![1e-3f32; 8], [1, 8]), &Device::flex());
    let ones = Tensor::<1>::from_data(TensorData::new(vec![1f32; 8], [8]), &Device::flex());
    let norm = |eps| values(FUSED.rms_norm(small.clone(), ones.clone(), eps))[0];
    assert!((norm(1e-6) - 0.5f32.sqrt()).abs() < 1e-5);
    assert!((norm(3e-6) - 0.5).abs() < 1e-5);
}

#[test]
fn linear_agrees() {
    for (rows, inner, columns) in [(1, 5, 3), (65, 33, 101), (300, 64, 200), (130, 600, 50)] {
        compare("linear", [[rows, inner], [columns, inner]], [], |kernels, [x, weight], []| {
            weighted_sum(kernels.linear(x, weight))
        });
        compare(
            "linear_add",
            [[rows, inner], [columns, inner], [rows, columns]],
            [],
            |kernels, [x, weight, residual], []| weighted_sum(kernels.linear_add(x, weight, residual)),
        );
    }
}

const REDUCED: Kernels = Kernels { precision: Precision::Bf16, ..FUSED };

fn rounded(values: &[f32]) -> Vec<f32> {
    let nearest = |bits: u32| bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000;
    values.iter().map(|value| f32::from_bits(nearest(value.to_bits()))).collect()
}

/// The output and the gradients of two inputs, given the gradient of the output.
fn with_gradients(
    inputs: [(Vec<f32>, [usize; 2]); 2],
    upstream: Vec<f32>,
    operation: impl Fn([Tensor<2>; 2]) -> Tensor<2>,
) -> [Vec<f32>; 3] {
    let inputs = inputs.map(|(values, shape)| leaf_of(values, shape));
    let output = operation(inputs.clone());
    let upstream = leaf_of(upstream, output.dims());
    let gradients = (output.clone() * upstream).sum().backward();
    let [first, second] = inputs.map(|input| values(input.grad(&gradients).expect("a gradient")));
    [values(output), first, second]
}

/// All three products of a layer round both operands, and nothing else is rounded.
#[test]
fn linear_in_bf16_is_that_of_rounded_operands() {
    for (rows, inner, columns) in [(1, 5, 3), (65, 33, 101), (130, 600, 50)] {
        let (x, weight, upstream) = (normal(rows * inner, 1), normal(columns * inner, 2), normal(rows * columns, 3));
        let residual = TensorData::new(normal(rows * columns, 4), [rows, columns]);
        let residual = Tensor::<2>::from_data(residual, &Device::flex().autodiff());
        let inputs = |x: &[f32], weight: &[f32]| [(x.to_vec(), [rows, inner]), (weight.to_vec(), [columns, inner])];
        let (given, exact) = (inputs(&x, &weight), inputs(&rounded(&x), &rounded(&weight)));
        let plain = |kernels: Kernels, [x, weight]: [Tensor<2>; 2]| kernels.linear(x, weight);
        let added = |kernels: Kernels, [x, weight]: [Tensor<2>; 2]| kernels.linear_add(x, weight, residual.clone());
        for operation in [&plain as &dyn Fn(Kernels, [Tensor<2>; 2]) -> Tensor<2>, &added] {
            let found = with_gradients(given.clone(), upstream.clone(), |inputs| operation(REDUCED, inputs));
            let expected = with_gradients(exact.clone(), rounded(&upstream), |inputs| operation(FUSED, inputs));
            for (found, expected) in found.iter().zip(&expected) {
                let scale = expected.iter().fold(0.0f32, |scale, x| scale.max(x.abs()));
                assert_eq!(found.len(), expected.len());
                let near = found.iter().zip(expected).all(|(x, y)| (x - y).abs() < 1e-5 * scale);
                assert!(near, "{rows} x {inner} x {columns}");
            }
        }
    }
}

/// Every operation with a matrix product is near f32 in bf16, but differs from it.
#[test]
fn every_product_follows_the_precision() {
    let near = |what: &str, operation: &dyn Fn(Kernels, [Tensor<2>; 2]) -> Tensor<2>, shapes: [[usize; 2]; 2]| {
        let inputs =
            || shapes.map(|[rows, columns]| (normal(rows * columns, (rows + columns) as u64), [rows, columns]));
        let rows = normal(1 << 14, 5);
        let run = |kernels| {
            let len = operation(kernels, inputs().map(|(data, shape)| leaf_of(data, shape))).shape().num_elements();
            with_gradients(inputs(), rows[..len].to_vec(), |inputs| operation(kernels, inputs))
        };
        for (index, (reduced, exact)) in run(REDUCED).iter().zip(run(FUSED)).enumerate() {
            let scale = exact.iter().fold(0.0f32, |scale, x| scale.max(x.abs()));
            let furthest = reduced.iter().zip(&exact).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
            assert!(furthest > 0.0 && furthest < 0.02 * scale, "{what}, result {index}: {furthest} of {scale}");
        }
    };
    let norm = leaf([33], 4);
    near("norm_linear", &|kernels, [x, w]| kernels.norm_linear(x, norm.clone(), w, 1e-5), [[20, 33], [50, 33]]);
    for (activation, inputs) in [(Activation::SwiGlu, 66), (Activation::Gelu, 33)] {
        near("activated", &|kernels, [x, w]| kernels.activated_linear(x, activation, w), [[20, inputs], [50, 33]]);
        let residual = leaf([20, 50], 6);
        let added =
            |kernels: Kernels, [x, w]: [Tensor<2>; 2]| kernels.activated_linear_add(x, activation, w, residual.clone());
        near("activated, added", &added, [[20, inputs], [50, 33]]);
    }
    for ([heads, kv_heads, head_dim], seq, documents) in
        [([4, 1, 10], 131, &[][..]), ([2, 2, 16], 150, &[3, 70, 71, 128]), ([1, 1, 64], 65, &[])]
    {
        let layout = HeadLayout { heads, kv_heads, head_dim };
        let context = context(1, seq, layout, documents);
        let attention = |kernels: Kernels, [qkv, other]: [Tensor<2>; 2]| {
            let context = AttentionContext { precision: kernels.precision, ..context.clone() };
            kernels.attention(qkv, &context) * other
        };
        near("attention", &attention, [[seq, layout.width()], [seq, layout.query_width()]]);
    }
    let targets: Vec<i32> = (0..20).map(|row| row * 2).collect();
    let loss = |kernels: Kernels, [x, w]: [Tensor<2>; 2]| {
        kernels.cross_entropy(x, w, &targets, Objective::cross_entropy(20.0)).reshape([1, 1])
    };
    near("cross_entropy", &loss, [[20, 33], [50, 33]]);

    // Rounded inputs give the same logits, but not the same gradients: both gradient products round.
    let inputs = || [(rounded(&normal(660, 1)), [20, 33]), (rounded(&normal(1650, 2)), [50, 33])];
    let run = |kernels| with_gradients(inputs(), vec![1.0], |inputs| loss(kernels, inputs));
    let (reduced, exact) = (run(REDUCED), run(FUSED));
    assert_eq!([0, 1, 2].map(|index| reduced[index] == exact[index]), [true, false, false]);
}

/// Outputs and gradients of the pairs whose backward pass recomputes the intermediate result.
#[test]
fn pairs_agree() {
    for (rows, inner, columns) in [(1, 5, 3), (65, 33, 101)] {
        compare("norm_linear", [[rows, inner], [columns, inner]], [inner], |kernels, [x, weight], [norm]| {
            weighted_sum(kernels.norm_linear(x, norm, weight, 1e-5))
        });
    }
    for (rows, hidden, columns) in [(1, 1, 2), (35, 22, 7), (70, 129, 33)] {
        for (activation, inputs) in [(Activation::SwiGlu, 2 * hidden), (Activation::Gelu, hidden)] {
            let shapes = [[rows, inputs], [columns, hidden], [rows, columns]];
            compare("activated_linear_add", shapes, [], |kernels, [x, weight, residual], []| {
                weighted_sum(kernels.activated_linear_add(x, activation, weight, residual))
            });
            compare("activated_linear", [shapes[0], shapes[1]], [], |kernels, [x, weight], []| {
                weighted_sum(kernels.activated_linear(x, activation, weight))
            });
        }
    }
}

#[test]
fn a_residual_stream_has_the_gradients_of_all_its_uses() {
    for (rows, width, hidden) in [(1, 5, 3), (700, 37, 20)] {
        let shapes = [[rows, width], [hidden, width], [width, hidden]];
        compare("a block", shapes, [width], |kernels, [x, down, up], [norm]| {
            let hidden = kernels.norm_linear(x.clone(), norm, down, 1e-5);
            weighted_sum(kernels.linear_add(hidden, up, x))
        });
    }
}

#[test]
fn recomputing_changes_no_bit() {
    let (x, weight, residual) = (leaf([130, 64], 1), leaf([40, 64], 2), leaf([130, 40], 3));
    let norm = leaf([64], 4);
    let gradients_of = |output: Tensor<2>, matrices: [&Tensor<2>; 2]| {
        let values_of_output = values(output.clone());
        let gradients = weighted_sum(output).backward();
        let [a, b] = matrices.map(|tensor| values(tensor.grad(&gradients).expect("a gradient")));
        (values_of_output, a, b, norm.grad(&gradients).map(values))
    };
    let kernels = FUSED;
    let kept = kernels.linear(kernels.rms_norm(x.clone(), norm.clone(), 1e-5), weight.clone());
    let recomputed = kernels.norm_linear(x.clone(), norm.clone(), weight.clone(), 1e-5);
    assert!(gradients_of(kept, [&x, &weight]) == gradients_of(recomputed, [&x, &weight]));

    let narrow = leaf([40, 32], 5);
    let inputs = values(x.clone());
    let activated = TensorData::new(activation::swiglu(&inputs, 32), [130, 32]);
    let activated = Tensor::<2>::from_data(activated, &x.device()).require_grad();
    let kept = kernels.linear_add(activated.clone(), narrow.clone(), residual.clone());
    let (output, mut dactivated, dweight, _) = gradients_of(kept, [&activated, &narrow]);
    let dx = activation::swiglu_backward(&inputs, &mut dactivated, 32);
    assert_eq!(dactivated, values(activated));
    let recomputed = kernels.activated_linear_add(x.clone(), Activation::SwiGlu, narrow.clone(), residual);
    assert!(gradients_of(recomputed, [&x, &narrow]) == (output, dx, dweight, None));
}

#[test]
fn norms_of_query_and_key_heads_agree() {
    for (heads, kv_heads, head_dim) in [(4, 2, 10), (3, 3, 16), (6, 1, 2)] {
        let layout = HeadLayout { heads, kv_heads, head_dim };
        compare("qk_norm", [[37, layout.width()]], [head_dim, head_dim], |kernels, [qkv], [query, key]| {
            weighted_sum(kernels.qk_norm(qkv, query, key, layout, 1e-6))
        });
    }
}

#[test]
fn attention_agrees_with_grouped_heads_documents_and_several_blocks() {
    let compare_case = |batch: usize, seq: usize, [heads, kv_heads, head_dim]: [usize; 3], documents: &[usize]| {
        let layout = HeadLayout { heads, kv_heads, head_dim };
        let context = context(batch, seq, layout, documents);
        let what = format!("attention {batch} x {seq}, {heads}/{kv_heads} heads, documents {documents:?}");
        compare(&what, [[batch * seq, layout.width()]], [], |kernels, [qkv], []| {
            weighted_sum(kernels.attention(qkv, &context))
        });
    };
    compare_case(1, 1, [1, 1, 2], &[]);
    compare_case(2, 7, [2, 2, 6], &[]);
    compare_case(1, 64, [4, 2, 8], &[]);
    compare_case(2, 131, [4, 1, 10], &[]);
    compare_case(2, 150, [2, 2, 16], &[3, 70, 71, 128]);
    compare_case(1, 200, [6, 3, 4], &[100, 199]);
}

#[test]
fn cross_entropy_agrees_and_honours_divisor_upstream_and_masked_targets() {
    for (rows, width, vocab) in [(1, 3, 2), (40, 16, 77), (600, 8, 1100)] {
        let targets: Vec<i32> = (0..rows).map(|row| if row % 3 == 1 { -1 } else { (row * 7 % vocab) as i32 }).collect();
        compare("cross_entropy", [[rows, width], [vocab, width]], [], |kernels, [x, weight], []| {
            kernels.cross_entropy(x, weight, &targets, Objective::cross_entropy(13.0))
        });
        compare("cross_entropy, scaled", [[rows, width], [vocab, width]], [], |kernels, [x, weight], []| {
            kernels.cross_entropy(x, weight, &targets, Objective::cross_entropy(13.0)).mul_scalar(-2.5)
        });
        let (x, weight) = (leaf([rows, width], 1).inner(), leaf([vocab, width], 2).inner());
        let nll = |kernels: Kernels| values(kernels.token_nll(x.clone(), weight.clone(), &targets));
        assert_close(&nll(FUSED), &nll(PORTABLE), "token_nll");
    }
}

/// Compares cross-entropy and z-loss separately, and the gradients of their sum, on random shapes with rows that do not
/// count.
#[test]
fn the_z_loss_agrees() {
    let mut rng = Rng::new(17);
    let shapes = [[1, 3, 2], [600, 8, 1100], [257, 5, 33]].into_iter();
    let drawn: Vec<[usize; 3]> = (0..6).map(|_| [300, 40, 400].map(|below| 1 + rng.below(below) as usize)).collect();
    for [rows, width, vocab] in shapes.chain(drawn) {
        let target = |_| rng.below(vocab as u64 + vocab as u64 / 3) as i32;
        let targets: Vec<i32> = (0..rows).map(target).map(|id| if id < vocab as i32 { id } else { -1 }).collect();
        let objective = Objective { divisor: 13.0, z_loss: 0.07 };
        let what = format!("z-loss of {rows} x {width} x {vocab}");
        let shapes = [[rows, width], [vocab, width]];
        for term in 0..2 {
            let terms = |kernels: Kernels| {
                let (x, weight) = (leaf(shapes[0], 1).inner(), leaf(shapes[1], 2).inner());
                values(kernels.cross_entropy(x, weight, &targets, objective))
            };
            assert_close(&[terms(FUSED)[term]], &[terms(PORTABLE)[term]], &format!("{what}, term {term}"));
        }
        for scale in [1.0, -2.5] {
            compare(&what, shapes, [], |kernels, [x, weight], []| {
                kernels.cross_entropy(x, weight, &targets, objective).sum_dim(0).mul_scalar(scale)
            });
        }
    }
}

/// Cross-entropy is the same with and without a z-loss, and rows that do not count add nothing.
#[test]
fn the_z_loss_is_a_term_of_its_own_over_counted_rows() {
    let (x, weight) = (leaf([3, 8], 1).inner(), leaf([40, 8], 2).inner());
    let terms = |targets: &[i32], z_loss| {
        let objective = Objective { divisor: 2.0, z_loss };
        values(FUSED.cross_entropy(x.clone(), weight.clone(), targets, objective))
    };
    let with = terms(&[5, -1, 7], 0.5);
    assert_eq!(terms(&[5, -1, 7], 0.0), with[..1]);
    assert_eq!(terms(&[-1, -1, -1], 0.5), [0.0, 0.0]);
    let alone: Vec<f32> = [[5, -1, -1], [-1, -1, 7]].map(|targets| terms(&targets, 0.5)[1]).to_vec();
    assert!((alone[0] + alone[1] - with[1]).abs() < 1e-6, "{alone:?} are not {with:?}");
    let log_sum = |row: usize| {
        let logits = values(FUSED.linear(x.clone(), weight.clone()));
        logits[40 * row..40 * (row + 1)].iter().map(|logit| f64::from(*logit).exp()).sum::<f64>().ln()
    };
    let expected = 0.5 * (log_sum(0).powi(2) + log_sum(2).powi(2)) / 2.0;
    assert!((f64::from(with[1]) - expected).abs() < 1e-5, "{with:?} is not {expected}");
}

#[test]
#[should_panic(expected = "the terms of a loss are only ever added")]
fn a_gradient_of_one_term_alone_is_refused() {
    let objective = Objective { divisor: 1.0, z_loss: 0.1 };
    FUSED.cross_entropy(leaf([2, 3], 1), leaf([5, 3], 2), &[1, 2], objective).narrow(0, 0, 1).backward();
}

#[test]
fn the_loss_of_a_diverged_model_is_nan() {
    let weight = leaf([40, 8], 2).inner();
    let mut x = normal(24, 1);
    x[9] = f32::NAN;
    let x = Tensor::<2>::from_data(TensorData::new(x, [3, 8]), &Device::flex());
    let nll = values(FUSED.token_nll(x, weight, &[1, 2, 3]));
    assert!(nll[0].is_finite() && nll[1].is_nan() && nll[2].is_finite(), "{nll:?}");
}

#[test]
fn large_logits_do_not_overflow() {
    let x = Tensor::<2>::from_data(TensorData::new(vec![100f32, -100.0], [2, 1]), &Device::flex());
    let weight = Tensor::<2>::from_data(TensorData::new(vec![10f32, 0.0, -10.0], [3, 1]), &Device::flex());
    assert_eq!(values(FUSED.token_nll(x, weight, &[0, 0])), [0.0, 2000.0]);
}

#[test]
fn embedding_agrees_when_ids_repeat() {
    let ids = [3, 0, 3, 9, 3, 1];
    compare("embedding", [[10, 7]], [], |kernels, [weight], []| {
        let ids = Tensor::<1, Int>::from_data(TensorData::new(ids.to_vec(), [6]), &weight.device());
        weighted_sum(kernels.embedding(weight, ids))
    });
}

#[test]
fn dropout_agrees() {
    let mask = DropoutMask::new(1, 2, 0.3);
    compare("dropout", [[301, 77]], [], |kernels, [x], []| weighted_sum(kernels.dropout(x, mask)));
}

#[test]
fn inputs_without_a_gradient_get_none() {
    let (x, weight) = (leaf([3, 4], 1), leaf([5, 4], 2).set_require_grad(false));
    let gradients = weighted_sum(FUSED.linear(x.clone(), weight.clone())).backward();
    assert!(x.grad(&gradients).is_some() && weight.grad(&gradients).is_none());
    let plain = FUSED.linear(x.clone().inner(), weight.clone().inner());
    assert_eq!(values(plain), values(FUSED.linear(x, weight)));
}
