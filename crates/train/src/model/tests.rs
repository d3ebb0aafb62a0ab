use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::config::{Ffn, ModelConfig};
use super::weights::{NamedTensor, WeightsError};
use super::*;
use crate::cpu::thread_team::with_threads;
use crate::ops::{Implementation, Kernels, Objective};
use crate::precision::Precision;
use stepwell_base::rng::Rng;

const FUSED: Kernels = Kernels { implementation: Implementation::Fused, precision: Precision::F32 };
const PORTABLE: Kernels = Kernels { implementation: Implementation::Portable, precision: Precision::F32 };

fn small() -> ModelConfig {
    ModelConfig { vocab_size: 61, context: 24, ..ModelConfig::preset("tiny").expect("a preset") }
}

/// Shape with grouped heads, norms of query and key heads, and another epsilon.
fn qwen() -> ModelConfig {
    ModelConfig { heads: 4, kv_heads: 2, head_dim: 10, qk_norm: true, norm_eps: 1e-6, ..small() }
}

fn ungated() -> ModelConfig {
    ModelConfig { ffn: Ffn::Gelu { hidden: 50 }, ..small() }
}

fn random_batch(config: &ModelConfig, batch: usize, seq: usize, seed: u64) -> Batch {
    let mut rng = Rng::new(seed);
    let tokens = batch * seq;
    let mut token = || rng.below(config.vocab_size as u64);
    let ids: Vec<u32> = (0..tokens).map(|_| token() as u32).collect();
    let targets = (0..tokens).map(|_| token() as i32).map(|target| if target % 7 == 0 { -1 } else { target }).collect();
    Batch { ids, targets, starts: vec![0; tokens], batch, seq, dropout_seed: None }
}

fn logits(model: &Transformer, ids: &[u32], starts: &[u32]) -> Vec<f32> {
    let ids: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids.clone(), [1, ids.len()]), &Device::flex());
    values(model.logits(ids, starts))
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("f32 values")
}

fn standard_deviation(data: &[f32]) -> f64 {
    (data.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / data.len() as f64).sqrt()
}

#[test]
fn weights_start_with_the_specified_standard_deviation() {
    let config = ModelConfig::preset("quickstart").expect("a preset");
    let residual = 0.02 / 8f64.sqrt();
    for tensor in Transformer::init(&config, 1, &Device::flex()).to_named() {
        if tensor.shape.len() == 1 {
            assert!(tensor.data.iter().all(|x| *x == 1.0), "{}", tensor.name);
            continue;
        }
        let scaled = tensor.name.contains("o_proj") || tensor.name.contains("down_proj");
        let expected = if scaled { residual } else { 0.02 };
        let found = standard_deviation(&tensor.data);
        assert!((found / expected - 1.0).abs() < 0.02, "{} has {found}, not {expected}", tensor.name);
    }
}

#[test]
fn deep60_residual_projections_start_at_the_published_value() {
    let config = ModelConfig::preset("deep60").expect("a preset");
    let specs = weight_specs(&config);
    let spec = specs.iter().find(|spec| spec.name.ends_with("o_proj.weight")).expect("has one");
    let InitialValue::Normal { std } = spec.initial else { panic!("a matrix") };
    assert!((std - 0.001_826).abs() < 1e-6, "{std}");
}

#[test]
fn initial_weights_depend_on_seed_and_name_only() {
    let deep = ModelConfig { layers: 3, init_std: 0.5, ..small() };
    let named = |config: &ModelConfig, seed| Transformer::init(config, seed, &Device::flex()).to_named();
    let (a, b, c) = (named(&small(), 1), named(&small(), 1), named(&small(), 2));
    assert_eq!(a, b);
    assert_ne!(a, c);
    let draws = |tensors: &[NamedTensor], std: f32| -> Vec<f32> { tensors[2].data.iter().map(|x| x / std).collect() };
    let close = draws(&a, 0.02).iter().zip(draws(&named(&deep, 1), 0.5)).all(|(x, y)| (x - y).abs() < 1e-5);
    assert!(close, "the same draws for the same name");
}

#[test]
fn the_module_holds_exactly_the_counted_parameters() {
    for config in [small(), qwen(), ungated()] {
        let model = Transformer::init(&config, 1, &Device::flex());
        assert_eq!(model.num_params(), config.parameter_counts().total);
        assert_eq!(
            weight_specs(&config).iter().map(|spec| spec.shape.iter().product::<usize>()).sum::<usize>(),
            config.parameter_counts().total
        );
    }
}

#[test]
fn named_weights_round_trip() {
    for config in [small(), qwen(), ungated()] {
        let named = Transformer::init(&config, 3, &Device::flex()).to_named();
        let map: BTreeMap<_, _> = named.iter().map(|tensor| (tensor.name.clone(), tensor.clone())).collect();
        let again = Transformer::from_named(&config, &map, &Device::flex()).expect("fits");
        assert_eq!(again.to_named(), named);
    }
}

#[test]
fn weights_of_another_shape_are_refused() {
    let device = Device::flex();
    let named = Transformer::init(&small(), 3, &device).to_named();
    let map: BTreeMap<_, _> = named.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();

    let mut missing = map.clone();
    missing.remove("model.norm.weight");
    let error = Transformer::from_named(&small(), &missing, &device).expect_err("no final norm");
    assert!(matches!(error, WeightsError::Missing { name } if name == "model.norm.weight"));

    let wider = ModelConfig { ffn: Ffn::SwiGlu { hidden: 180 }, ..small() };
    let error = Transformer::from_named(&wider, &map, &device).expect_err("another width");
    assert!(matches!(error, WeightsError::Shape { name, .. } if name.contains("gate_proj")));

    let mut untied = map.clone();
    let head = |data| NamedTensor { name: "lm_head.weight".into(), shape: vec![61, 64], data };
    untied.insert("lm_head.weight".into(), head(map["model.embed_tokens.weight"].data.clone()));
    Transformer::from_named(&small(), &untied, &device).expect("a tied head");
    untied.insert("lm_head.weight".into(), head(vec![0.0; 61 * 64]));
    let error = Transformer::from_named(&small(), &untied, &device).expect_err("an untied head");
    assert!(matches!(error, WeightsError::Unexpected { .. }));
}

#[test]
fn a_token_does_not_change_logits_before_it() {
    for config in [small(), qwen()] {
        let model = Transformer::init(&config, 5, &Device::flex());
        let batch = random_batch(&config, 1, 24, 6);
        let before = logits(&model, &batch.ids, &batch.starts);
        for changed in [1, 11, 23] {
            let mut ids = batch.ids.clone();
            ids[changed] = (ids[changed] + 1) % config.vocab_size as u32;
            let after = logits(&model, &ids, &batch.starts);
            let boundary = changed * config.vocab_size;
            assert_eq!(before[..boundary], after[..boundary], "token {changed}");
            assert_ne!(before[boundary..], after[boundary..], "token {changed}");
        }
    }
}

#[test]
fn a_document_does_not_see_the_one_before_it() {
    let config = small();
    let model = Transformer::init(&config, 5, &Device::flex());
    let batch = random_batch(&config, 1, 20, 6);
    let starts: Vec<u32> = (0..20).map(|token| if token < 8 { 0 } else { 8 }).collect();
    let before = logits(&model, &batch.ids, &starts);
    let mut ids = batch.ids.clone();
    ids[..8].rotate_left(3);
    let after = logits(&model, &ids, &starts);
    let boundary = 8 * config.vocab_size;
    assert_eq!(before[boundary..], after[boundary..]);
    assert_ne!(before[..boundary], after[..boundary]);

    // Rotary positions are relative: the second document alone gives the same scores.
    let alone = logits(&model, &batch.ids[8..], &[0; 12]);
    let difference = before[boundary..].iter().zip(&alone).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference < 1e-5, "{difference}");
}

#[test]
fn the_loss_is_the_sum_of_the_counted_token_losses() {
    let config = small();
    let model = Transformer::init(&config, 5, &Device::flex());
    let batch = random_batch(&config, 2, 13, 8);
    let nll = values(model.token_nll(&batch));
    for (target, nll) in batch.targets.iter().zip(&nll) {
        assert_eq!(*target < 0, *nll == 0.0);
    }
    let loss = values(model.loss(&batch, Objective::cross_entropy(10.0)))[0];
    let expected = nll.iter().map(|x| f64::from(*x)).sum::<f64>() / 10.0;
    assert!((f64::from(loss) / expected - 1.0).abs() < 1e-5, "{loss} is not {expected}");
}

#[test]
fn dropout_is_a_function_of_its_seed_and_absent_without_one() {
    let config = ModelConfig { dropout: 0.2, ..small() };
    let model = Transformer::init(&config, 5, &Device::flex().autodiff());
    let plain = random_batch(&config, 2, 13, 8);
    let loss = |seed| values(model.loss(&Batch { dropout_seed: seed, ..plain.clone() }, Objective::cross_entropy(1.0)));
    assert_eq!(loss(Some(1)), loss(Some(1)));
    assert_ne!(loss(Some(1)), loss(Some(2)));
    let without = Transformer::init(&small(), 5, &Device::flex().autodiff());
    assert_eq!(loss(None), values(without.loss(&plain, Objective::cross_entropy(1.0))));
    let seeded = Batch { dropout_seed: Some(1), ..plain.clone() };
    assert_eq!(values(model.token_nll(&seeded)), values(model.token_nll(&plain)));
}

#[test]
fn the_loss_has_a_gradient_for_every_weight() {
    for config in [small(), qwen(), ungated()] {
        let model = Transformer::init(&config, 5, &Device::flex().autodiff());
        let gradients = model.loss(&random_batch(&config, 2, 13, 8), Objective::cross_entropy(20.0)).backward();
        let gradients = burn::optim::GradientsParams::from_grads(gradients, &model);
        let tensors = 2 + config.layers * if config.qk_norm { 8 } else { 6 };
        assert_eq!(gradients.len(), tensors);
    }
}

#[test]
#[should_panic(expected = "an id outside the vocabulary")]
fn an_id_outside_the_vocabulary_is_refused() {
    let config = small();
    let mut batch = random_batch(&config, 1, 4, 8);
    batch.ids[2] = config.vocab_size as u32;
    Transformer::init(&config, 5, &Device::flex()).loss(&batch, Objective::cross_entropy(1.0));
}

/// Loss and gradients by parameter, in the order of the module.
fn loss_and_gradients(kernels: Kernels, model: &Transformer, batch: &Batch) -> Vec<Vec<f32>> {
    struct Collect<'a>(&'a burn::optim::GradientsParams, Vec<Vec<f32>>);
    impl burn::module::ModuleVisitor for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
            self.1.push(values(self.0.get::<D>(param.id).expect("a gradient")));
        }
    }
    let loss = model.loss_with(kernels, batch, Objective::cross_entropy(17.0));
    let gradients = burn::optim::GradientsParams::from_grads(loss.clone().backward(), model);
    let mut collect = Collect(&gradients, vec![values(loss)]);
    model.visit(&mut collect);
    collect.1
}

#[test]
fn fused_and_portable_models_have_the_same_loss_and_gradients() {
    for config in [small(), qwen(), ungated(), ModelConfig { dropout: 0.1, ..small() }] {
        let config = ModelConfig { init_std: 0.1, context: 80, ..config };
        let model = Transformer::init(&config, 5, &Device::flex().autodiff());
        let mut batch = random_batch(&config, 2, 75, 8);
        batch.dropout_seed = Some(4);
        batch.starts = (0..150).map(|token| if token % 75 < 30 { 0 } else { 30 }).collect();
        let fused = loss_and_gradients(FUSED, &model, &batch);
        let portable = loss_and_gradients(PORTABLE, &model, &batch);
        for (index, (fused, portable)) in fused.iter().zip(&portable).enumerate() {
            let scale = portable.iter().fold(1e-4f32, |scale, x| scale.max(x.abs()));
            let difference = fused.iter().zip(portable).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
            assert!(difference < 1e-4 * scale, "result {index}: {difference} of {scale}");
        }
    }
}

/// The portable kernels also round the outputs of products and of attention: a few units in the last of 8 bits.
#[test]
fn gradients_in_bf16_are_near_those_in_f32() {
    for config in [small(), qwen(), ungated()] {
        let config = ModelConfig { init_std: 0.1, ..config };
        let model = Transformer::init(&config, 5, &Device::flex().autodiff());
        let batch = random_batch(&config, 2, 20, 8);
        let exact = loss_and_gradients(FUSED, &model, &batch);
        for kernels in [FUSED, PORTABLE] {
            let reduced = Kernels { precision: Precision::Bf16, ..kernels };
            let reduced = loss_and_gradients(reduced, &model, &batch);
            assert!(reduced != exact, "{kernels:?}: nothing was rounded");
            for (index, (reduced, exact)) in reduced.iter().zip(&exact).enumerate() {
                let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
                let difference = norm(&mut reduced.iter().zip(exact).map(|(x, y)| x - y));
                let share = difference / norm(&mut exact.iter().copied());
                assert!(share < 0.03, "{kernels:?}, result {index}: off by {share}");
            }
        }
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let config = ModelConfig { vocab_size: 700, context: 150, ..qwen() };
    let model = Transformer::init(&config, 5, &Device::flex().autodiff());
    let batch = random_batch(&config, 3, 150, 8);
    let bits = |results: Vec<Vec<f32>>| -> Vec<u32> { results.into_iter().flatten().map(f32::to_bits).collect() };
    for kernels in [FUSED, Kernels { precision: Precision::Bf16, ..FUSED }] {
        let run = |threads| bits(with_threads(threads, || loss_and_gradients(kernels, &model, &batch)));
        let one = run(1);
        for threads in [2, 3, 7] {
            assert_eq!(one, run(threads), "{kernels:?}, {threads} threads");
        }
    }
}

/// Path and rows of every matrix.
#[derive(Default)]
struct MatrixRows(Vec<String>, Vec<(String, usize)>);

impl burn::module::ModuleVisitor for MatrixRows {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.0.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.0.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
        if D == 2 {
            self.1.push((self.0.join("."), param.val().shape().to_vec()[0]));
        }
    }
}

#[test]
fn hidden_matrices_are_all_but_the_embedding() {
    for config in [small(), qwen(), ungated()] {
        let model = Transformer::init(&config, 1, &Device::flex());
        let mut found = MatrixRows::default();
        model.visit(&mut found);
        let hidden = model.hidden_matrices();
        let expected = hidden.iter().map(|(path, parts)| (path.clone(), parts.iter().sum()));
        let found: BTreeMap<String, usize> = found.1.into_iter().filter(|(path, _)| path != "embedding").collect();
        assert_eq!(found, expected.collect());
        assert!(hidden.iter().all(|(path, parts)| parts.len() == 3 || !path.ends_with("qkv")));
    }
}

/// Compares losses and weights of three steps on a GPU with those on the CPU: norms, attention,
/// activations, dropout, products, the loss, the global norm and the optimizer together. Few sizes occur, because a
/// software driver compiles a dozen matrix products for each shape before it chooses one.
#[cfg(feature = "cube")]
#[test]
fn a_small_model_trains_on_a_device_as_on_the_cpu() {
    use crate::device::fixtures::gpu;
    use crate::optim::{Clipping, GradientSum, Optimizer, OptimizerConfig};

    let config = ModelConfig {
        vocab_size: 16,
        context: 8,
        layers: 2,
        d_model: 16,
        heads: 2,
        kv_heads: 1,
        head_dim: 8,
        ffn: Ffn::SwiGlu { hidden: 16 },
        dropout: 0.1,
        ..qwen()
    };
    let train = |device: &Device| {
        let mut model = Transformer::init(&config, 5, device);
        let mut optimizer = Optimizer::new(OptimizerConfig::default(), Matrices::new());
        let losses: Vec<f32> = (0..3)
            .map(|step| {
                let batch = Batch { dropout_seed: Some(step), ..random_batch(&config, 2, 8, step) };
                let loss = model.loss(&batch, Objective::cross_entropy(14.0));
                let mut gradients = GradientSum::default();
                gradients.add(loss.backward(), &model);
                let norm = gradients.norm(&model);
                let clipping = Clipping { norm: &norm, limit: 1.0 };
                model = optimizer.step(model.clone(), gradients, 0.01, clipping);
                loss.into_scalar::<f32>()
            })
            .collect();
        (losses, model.to_named())
    };
    let Some(device) = gpu().map(Device::autodiff) else { return };
    let (expected, weights) = train(&Device::flex().autodiff());
    let (found, found_weights) = train(&device);
    assert!(train(&device) == (found.clone(), found_weights.clone()), "the same training has the same bits");
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-4, "{found} is not {expected}");
    }
    for (found, expected) in found_weights.iter().zip(&weights) {
        for (x, y) in found.data.iter().zip(&expected.data) {
            assert!((x - y).abs() < 1e-3, "{}: {x} is not {y}", expected.name);
        }
    }
}
