//! Compares each kernel with the portable operation on the CPU: outputs and gradients, on shapes that fill no tile, no
//! cube and no group of units. Runs on the device of `device::fixtures`, which may be a software driver.

use burn::backend::Dispatch;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use super::launch::cross_entropy::LogitRows;
use super::launch::product;
use super::loss::LossShape;
use super::muon::muon_in_groups;
use super::raw::CubeKernels;
use super::*;
use crate::device::fixtures::gpu;
use crate::device::tuning;
use crate::ops::fixtures::{assert_all_close, assert_close, context, leaf, normal, results, values};
use crate::ops::{
    Activation, AdamWStep, DropoutMask, HeadLayout, MuonStep, Objective, adamw_update, muon_update, portable,
    sum_squares,
};
use crate::precision::Precision;
use stepwell_base::rng::Rng;

/// A device with automatic differentiation, if this machine has one.
fn device() -> Option<Device> {
    gpu().map(Device::autodiff)
}

fn compare<const M: usize, const V: usize>(
    what: &str,
    device: &Device,
    matrices: [[usize; 2]; M],
    vectors: [usize; V],
    found: impl Fn([Tensor<2>; M], [Tensor<1>; V]) -> Tensor<2>,
    expected: impl Fn([Tensor<2>; M], [Tensor<1>; V]) -> Tensor<2>,
) {
    let expected = results(&Device::flex().autodiff(), matrices, vectors, expected);
    assert_all_close(&results(device, matrices, vectors, found), &expected, what);
}

#[test]
fn rms_norm_agrees() {
    let Some(device) = device() else { return };
    for (rows, width) in [(1, 1), (1, 17), (33, 64), (700, 37), (3, 515)] {
        compare(
            &format!("rms_norm {rows} x {width}"),
            &device,
            [[rows, width]],
            [width],
            |[x], [weight]| rms_norm(x, weight, 1e-5),
            |[x], [weight]| portable::rms_norm(x, weight, 1e-5),
        );
    }
}

#[test]
fn norms_of_query_and_key_heads_agree() {
    let Some(device) = device() else { return };
    for (heads, kv_heads, head_dim) in [(4, 2, 10), (3, 3, 16), (6, 1, 2), (2, 1, 70)] {
        let layout = HeadLayout { heads, kv_heads, head_dim };
        compare(
            "qk_norm",
            &device,
            [[37, layout.width()]],
            [head_dim, head_dim],
            |[qkv], [query, key]| qk_norm(qkv, query, key, layout, 1e-6),
            |[qkv], [query, key]| portable::qk_norm(qkv, query, key, layout, 1e-6),
        );
    }
}

#[test]
fn attention_agrees_with_grouped_heads_documents_and_several_tiles() {
    let Some(device) = device() else { return };
    let compare_case = |batch: usize, seq: usize, [heads, kv_heads, head_dim]: [usize; 3], documents: &[usize]| {
        let layout = HeadLayout { heads, kv_heads, head_dim };
        let context = context(batch, seq, layout, documents);
        compare(
            &format!("attention {batch} x {seq}, {heads}/{kv_heads} heads, documents {documents:?}"),
            &device,
            [[batch * seq, layout.width()]],
            [],
            |[qkv], []| attention(qkv, &context),
            |[qkv], []| portable::attention(qkv, &context),
        );
    };
    compare_case(1, 1, [1, 1, 2], &[]);
    compare_case(2, 7, [2, 2, 6], &[]);
    compare_case(1, 64, [4, 2, 8], &[]);
    compare_case(2, 131, [4, 1, 10], &[]);
    compare_case(2, 150, [2, 2, 16], &[3, 70, 71, 128]);
    compare_case(1, 200, [6, 3, 4], &[100, 199]);
    compare_case(1, 70, [2, 1, 64], &[33]);
    compare_case(1, 40, [1, 1, 128], &[]);
}

#[test]
fn activations_agree() {
    let Some(device) = device() else { return };
    for (rows, hidden) in [(1, 1), (35, 22), (70, 129)] {
        for (activation, inputs) in [(Activation::SwiGlu, 2 * hidden), (Activation::Gelu, hidden)] {
            let found = |[x]: [Tensor<2>; 1], []: [Tensor<1>; 0]| tensors::activated(x.mul_scalar(3.0), activation);
            let expected = |[x]: [Tensor<2>; 1], []: [Tensor<1>; 0]| portable::activated(x.mul_scalar(3.0), activation);
            compare(&format!("{activation:?} {rows} x {hidden}"), &device, [[rows, inputs]], [], found, expected);
        }
    }
}

/// Loss terms of rows of logits, `[rows, terms]`, and the gradient of the loss.
fn logit_losses(logits: Tensor<2>, targets: &[i32], objective: Objective) -> (Tensor<2>, Tensor<2>) {
    let [rows, vocab] = logits.dims();
    let part = LogitRows { rows, vocab, first: 0, objective };
    let targets = tensors::integers(targets.to_vec(), &logits.device()).into_dispatch();
    let (losses, gradient) = Dispatch::cube_cross_entropy(logits.into_dispatch(), targets, part, true);
    (Tensor::from_dispatch(losses), Tensor::from_dispatch(gradient))
}

/// Losses and the gradient of logits without a matrix product: the input holds the logits, the weight is the identity.
#[test]
fn cross_entropy_of_logits_agrees() {
    let Some(device) = device() else { return };
    for (rows, vocab) in [(1, 2), (40, 77), (6, 1100)] {
        let targets: Vec<i32> = (0..rows).map(|row| if row % 3 == 1 { -1 } else { (row * 7 % vocab) as i32 }).collect();
        let logits: Vec<f32> = normal(rows * vocab, 5).iter().map(|x| 4.0 * x).collect();
        let expected = {
            let cpu = Device::flex().autodiff();
            let logits = Tensor::<2>::from_data(TensorData::new(logits.clone(), [rows, vocab]), &cpu).require_grad();
            let identity = Tensor::<2>::eye(vocab, &cpu);
            let losses = portable::token_nll(logits.clone(), identity, &targets, Precision::F32);
            let gradients = losses.clone().mul_scalar(1.0 / 13.0).backward();
            [values(losses), values(logits.grad(&gradients).expect("a gradient"))]
        };
        let plain = device.clone().without_autodiff();
        let logits = Tensor::<2>::from_data(TensorData::new(logits, [rows, vocab]), &plain);
        let (losses, gradient) = logit_losses(logits, &targets, Objective::cross_entropy(13.0));
        assert_eq!(losses.dims(), [rows, 1]);
        assert_close(&values(losses.clone()), &expected[0], "losses");
        assert_close(&values(gradient), &expected[1], "the gradient of logits");
        let total = expected[0].iter().sum::<f32>() / 13.0;
        assert_close(
            &values(Tensor::<1>::from_dispatch(Dispatch::cube_total(losses.into_dispatch(), 1.0 / 13.0))),
            &[total],
            "the total",
        );
    }
}

#[test]
fn a_row_of_logits_with_nan_has_no_loss_and_large_ones_do_not_overflow() {
    let Some(device) = device() else { return };
    let device = device.without_autodiff();
    let logits = Tensor::<2>::from_data([[1.0f32, 2.0], [f32::NAN, 0.0], [1000.0, -1000.0]], &device);
    let losses = values(logit_losses(logits, &[0, 1, 1], Objective::cross_entropy(1.0)).0);
    assert!((losses[0] - 1.313_261_7).abs() < 1e-5 && losses[1].is_nan() && losses[2] == 2000.0, "{losses:?}");
}

fn step(clip_of_host: f32) -> AdamWStep {
    AdamWStep {
        learning_rate: 0.01,
        beta1: 0.9,
        beta2: 0.95,
        epsilon: 1e-8,
        weight_decay: 0.1,
        gradient_scale: clip_of_host,
        step: 3,
    }
}

/// Compares a norm, clipping by it and a step with more tensors than one launch takes with the host's formulas; also
/// tests a norm that is not finite.
#[test]
fn the_optimizer_agrees_and_leaves_the_weights_alone_after_a_divergence() {
    let Some(device) = device() else { return };
    let device = device.without_autodiff();
    let lengths: Vec<usize> = (0..19).map(|index| [1, 300, 70_001][index % 3] + index).collect();
    let on_device = |values: &[f32]| Tensor::<1>::from_data(TensorData::new(values.to_vec(), [values.len()]), &device);
    let gradients: Vec<Vec<f32>> = lengths.iter().map(|len| normal(*len, *len as u64)).collect();
    let expected_norm = gradients.iter().map(|gradient| sum_squares(gradient)).sum::<f64>().sqrt();
    let norm = global_norm(gradients.iter().map(|gradient| on_device(gradient)).collect());
    assert!((f64::from(values(norm.clone())[0]) / expected_norm - 1.0).abs() < 1e-6);

    let before: Vec<[Vec<f32>; 3]> = (0..)
        .zip(&lengths)
        .map(|(seed, len)| {
            let second = normal(*len, 3 * seed + 2).iter().map(|x| x * x).collect();
            [normal(*len, 3 * seed), normal(*len, 3 * seed + 1), second]
        })
        .collect();
    let run = |norm: Tensor<1>| -> Vec<[Vec<f32>; 3]> {
        let kept: Vec<Tensor<1>> = before.iter().map(|[parameter, ..]| on_device(parameter)).collect();
        let given = before.iter().zip(&gradients).zip(&kept).map(|(([_, first, second], gradient), kept)| {
            let trained = Trained { parameter: kept.clone(), moments: [on_device(first), on_device(second)] };
            (trained, on_device(gradient))
        });
        let stepped = adamw(given.collect(), &norm, step(0.0), 1.0);
        for (kept, [before, ..]) in kept.into_iter().zip(&before) {
            assert_eq!(&values(kept), before, "what somebody else has is not written to");
        }
        let all = |Trained { parameter, moments: [first, second] }| [parameter, first, second].map(values);
        stepped.into_iter().map(all).collect()
    };
    assert!(run(on_device(&[f32::INFINITY])) == before);
    assert!(run(on_device(&[f32::NAN])) == before);
    let scale = (1.0 / (expected_norm + 1e-6)) as f32;
    for ((found, before), gradient) in run(norm).iter().zip(&before).zip(&gradients) {
        let [mut parameter, mut first, mut second] = before.clone();
        adamw_update(&mut parameter, gradient, &mut first, &mut second, step(scale));
        for (found, expected) in found.iter().zip([&parameter, &first, &second]) {
            assert_close(found, expected, "AdamW");
        }
    }
}

#[test]
fn products_agree() {
    let Some(device) = device() else { return };
    let shapes = [[5, 12], [7, 12], [5, 7]];
    compare(
        "linear_add",
        &device,
        shapes,
        [],
        |[x, weight, residual], []| linear_add(x, weight, residual, Precision::F32),
        |[x, weight, residual], []| portable::linear_add(x, weight, residual, Precision::F32),
    );
}

/// Compares logits in parts of three rows (the last has one row) with the whole. Uses the sum of the terms, because
/// only it has a gradient.
#[test]
fn the_loss_in_parts_agrees() {
    let Some(device) = device() else { return };
    let (rows, width, vocab) = (7, 12, 5);
    let targets = [0, -1, 2, 3, 4, 1, -1];
    for z_loss in [0.0, 0.1] {
        let objective = Objective { divisor: 13.0, z_loss };
        compare(
            &format!("cross_entropy in parts, z-loss {z_loss}"),
            &device,
            [[rows, width], [vocab, width]],
            [],
            |[x, weight], []| {
                let shape = LossShape { part: 3, ..tensors::loss_shape(&x, &weight, objective, Precision::F32) };
                tensors::cross_entropy_of(x, weight, &targets, shape).sum_dim(0).reshape([1, 1])
            },
            |[x, weight], []| {
                portable::cross_entropy(x, weight, &targets, objective, Precision::F32).sum_dim(0).reshape([1, 1])
            },
        );
    }
}

/// Both terms and the gradients of their sum, with a vocabulary of several columns per unit.
#[test]
fn the_z_loss_agrees() {
    let Some(device) = device() else { return };
    let (rows, width, vocab) = (40, 9, 577);
    let targets: Vec<i32> = (0..rows).map(|row| if row % 3 == 1 { -1 } else { (row * 7 % vocab) as i32 }).collect();
    let objective = Objective { divisor: 27.0, z_loss: 0.05 };
    let run = |device: &Device, operation: fn(Tensor<2>, Tensor<2>, &[i32], Objective, Precision) -> Tensor<1>| {
        let (x, weight) = (leaf([rows, width], 1, device), leaf([vocab, width], 2, device));
        let terms = operation(x.clone(), weight.clone(), &targets, objective, Precision::F32);
        let gradients = terms.backward();
        let of = |tensor: &Tensor<2>| values(tensor.grad(&gradients).expect("a gradient"));
        [values(terms), of(&x), of(&weight)]
    };
    let (found, expected) = (run(&device, cross_entropy), run(&Device::flex().autodiff(), portable::cross_entropy));
    assert_eq!(found[0].len(), 2);
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_close(found, expected, &format!("z-loss, result {index}"));
    }
}

/// 16-bit elements with f32 inside: outputs and gradients equal rounded f32 results. bf16 has three bits less than f16.
#[test]
fn sixteen_bit_elements_agree_within_their_rounding() {
    let Some(device) = device() else { return };
    for (dtype, tolerance) in [(DType::F16, 1e-2), (DType::BF16, 4e-2)] {
        match device.supports_dtype(dtype) {
            true => assert_rounded(&device, dtype, tolerance),
            false => eprintln!("not compared: this device has no {dtype:?}"),
        }
    }
}

fn assert_rounded(device: &Device, dtype: DType, tolerance: f32) {
    let layout = HeadLayout { heads: 4, kv_heads: 2, head_dim: 10 };
    let context = context(2, 40, layout, &[13]);
    let widths = [[80, layout.width()]];
    let expected = results(device, widths, [10, 10], |[x], [query, key]| {
        let mixed = attention(qk_norm(x, query, key, layout, 1e-6), &context);
        tensors::activated(mixed, Activation::SwiGlu)
    });
    let found = results(device, widths, [10, 10], |[x], [query, key]| {
        let mixed = attention(qk_norm(x.cast(dtype), query, key, layout, 1e-6), &context);
        tensors::activated(mixed, Activation::SwiGlu).cast(DType::F32)
    });
    for (found, expected) in found.iter().zip(&expected) {
        let scale = expected.iter().fold(0f32, |scale, x| scale.max(x.abs()));
        assert!(found != expected);
        let close = |(x, y): (&f32, &f32)| (x - y).abs() < tolerance * scale;
        assert!(found.iter().zip(expected).all(close), "{dtype:?}");
    }
}

#[test]
fn embedding_agrees_when_ids_repeat_and_rows_are_wide() {
    let Some(device) = device() else { return };
    let mut rng = Rng::new(4);
    let ids: Vec<i32> = (0..300).map(|_| rng.below(7) as i32).collect();
    let of = |weight: &Tensor<2>| Tensor::<1, Int>::from_data(TensorData::new(ids.clone(), [300]), &weight.device());
    compare(
        "embedding",
        &device,
        [[10, 270]],
        [],
        |[weight], []| embedding(weight.clone(), of(&weight)),
        |[weight], []| portable::embedding(weight.clone(), of(&weight)),
    );
}

/// Forward and backward have the bits of the CPU's masks and products.
#[test]
fn dropout_has_the_bits_of_the_cpu() {
    let Some(device) = device() else { return };
    for (seed, (rows, columns), probability) in
        [(1, (1, 1), 0.5), (2, (301, 77), 0.3), (u64::MAX, (5, 1000), 0.0), (1 << 40, (64, 640), 0.9)]
    {
        for site in 0..3 {
            let mask = DropoutMask::new(seed, site, probability);
            let found = results(&device, [[rows, columns]], [], |[x], []| dropout(x, mask));
            let cpu = Device::flex().autodiff();
            let expected = results(&cpu, [[rows, columns]], [], |[x], []| portable::dropout(x, mask));
            assert!(found == expected, "seed {seed}, site {site}, probability {probability}");
        }
    }
}

/// Clips more parameters than one launch takes, with one matrix and with several; also tests a norm that is not finite.
#[test]
fn muon_agrees_and_leaves_the_weights_alone_after_a_divergence() {
    let Some(device) = device() else { return };
    let device = device.without_autodiff();
    let on_device = |values: &[f32]| Tensor::<1>::from_data(TensorData::new(values.to_vec(), [values.len()]), &device);
    let shapes = [(vec![6, 3, 3], 20), (vec![20], 20), (vec![9, 9], 5), (vec![5], 9), (vec![1], 4), (vec![70], 300)];
    let given: Vec<(Vec<usize>, [Vec<f32>; 3])> = (0..18)
        .map(|index| {
            let (parts, columns) = shapes[index % shapes.len()].clone();
            let length = parts.iter().sum::<usize>() * columns;
            (parts, std::array::from_fn(|of| normal(length, 3 * index as u64 + of as u64)))
        })
        .collect();
    const ALL: usize = usize::MAX;
    let muon = MuonStep { learning_rate: 0.02, momentum: 0.95, weight_decay: 0.1, gradient_scale: 0.25 };
    let run = |norm: f32, at_once: usize| -> Vec<[Vec<f32>; 2]> {
        let stacks = given.iter().map(|(parts, [parameter, momentum, gradient])| {
            let [parameter, momentum, gradient] = [parameter, momentum, gradient].map(|values| on_device(values));
            Stack { parameter, momentum, gradient, parts: parts.clone() }
        });
        let stepped = muon_in_groups(stacks.collect(), &on_device(&[norm]), muon, 1.0, at_once);
        stepped.into_iter().map(|tensors| tensors.map(values)).collect()
    };
    for norm in [f32::INFINITY, f32::NAN] {
        for (found, (_, [parameter, momentum, _])) in run(norm, ALL).iter().zip(&given) {
            assert!(&found[0] == parameter && &found[1] == momentum, "a norm of {norm}");
        }
    }
    // The last parameter alone exceeds the smaller limit.
    for at_once in [ALL, 1 << 10] {
        let stepped = run(4.0, at_once);
        assert_eq!(stepped.len(), given.len());
        for (found, (parts, [parameter, momentum, gradient])) in stepped.iter().zip(&given) {
            let (mut parameter, mut momentum) = (parameter.clone(), momentum.clone());
            muon_update(&mut parameter, gradient, &mut momentum, parts, muon);
            assert_close(&found[1], &momentum, &format!("the momentum of {parts:?}, {at_once} at once"));
            assert_close(&found[0], &parameter, &format!("the parameter of {parts:?}, {at_once} at once"));
        }
    }
}

/// Operands in row and in column order, single and stacked, with the kernels that measure fastest here.
#[test]
fn products_of_stacks_agree() {
    let Some(device) = device() else { return };
    let device = device.without_autodiff();
    for shape in [[1, 5, 12, 7], [1, 1, 33, 64], [3, 64, 64, 64], [2, 130, 70, 33], [1, 200, 1, 3]] {
        for columns_first in [[false; 2], [true, false], [false, true], [true; 2]] {
            assert_product(&device, shape, columns_first);
        }
    }
}

/// Forces each kernel by its name, as a stored choice would, even if this device lacks it.
#[test]
fn every_kernel_multiplies() {
    let Some(device) = device() else { return };
    let device = device.without_autodiff();
    let known = tuning::current().device;
    for (index, kernel) in product::names().enumerate() {
        // Shapes that no other test uses.
        for rows in [65 + index, 128 + index] {
            let choice = format!(
                r#"{{"device":{known:?},"choices":[{{"kernel":"{kernel}","product":{{"batch":1,"rows":{rows},"inner":96,
                "columns":80,"left":"rows","right":"columns","elements":"f32","output":"f32"}}}}]}}"#
            );
            tuning::adopt(serde_json::from_str(&choice).unwrap());
            assert_product(&device, [1, rows, 96, 80], [false, true]);
        }
    }
}

fn assert_product(device: &Device, [batch, rows, inner, columns]: [usize; 4], columns_first: [bool; 2]) {
    let operand = |device: &Device, rows: usize, columns: usize, seed: u64| {
        Tensor::<3>::from_data(TensorData::new(normal(batch * rows * columns, seed), [batch, rows, columns]), device)
    };
    let operands = |device: &Device| [operand(device, rows, inner, 1), operand(device, inner, columns, 2)];
    let [left, right] = operands(&Device::flex());
    let expected = values(left.matmul(right).reshape([batch * rows * columns]));
    let [left, right] = operands(device);
    let [left, right] = [(left, columns_first[0]), (right, columns_first[1])].map(|(operand, columns_first)| {
        let operand = if columns_first { (operand.swap_dims(1, 2) * 1.0).swap_dims(1, 2) } else { operand };
        operand.into_dispatch()
    });
    let found = Tensor::<3>::from_dispatch(Dispatch::cube_product(left, right, DType::F32));
    assert_eq!(found.dims(), [batch, rows, columns]);
    assert_close(
        &values(found.reshape([batch * rows * columns])),
        &expected,
        &format!("{batch} x {rows} x {inner} x {columns}"),
    );
}
