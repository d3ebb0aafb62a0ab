//! Compares the model with PyTorch and `transformers`; `scripts/golden/README.md` says how the files were made.

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use safetensors::SafeTensors;
use serde_json::Value;

use super::config::{Ffn, Init, ModelConfig};
use super::lora::{BaseFormat, LoraConfig, Target};
use super::scales::scales;
use super::weights::{self, NamedTensor};
use super::{Batch, Transformer};
use crate::inference::{GenerateOptions, generate};
use crate::ops::{AdamWStep, Implementation, Kernels, LossOptions, Objective, RopeTable, adamw_update, sum_squares};
use crate::optim::{Clipping, GradientSum, Optimizer, OptimizerConfig};
use crate::precision::Precision;

const MODELS: [&str; 2] = ["llama_tiny", "qwen3_tiny"];
const FUSED: Kernels = Kernels { implementation: Implementation::Fused, precision: Precision::F32 };
const PORTABLE: Kernels = Kernels { implementation: Implementation::Portable, precision: Precision::F32 };
const KERNELS: [Kernels; 2] = [FUSED, PORTABLE];

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden").join(name)
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path(name)).expect("a golden file")).expect("JSON")
}

/// A golden file of four-byte elements, f32 or i32.
struct Golden(Vec<u8>);

impl Golden {
    fn open(name: &str) -> Self {
        Golden(std::fs::read(path(&format!("{name}.safetensors"))).expect("a golden file"))
    }

    fn words(&self, name: &str) -> Vec<[u8; 4]> {
        let file = SafeTensors::deserialize(&self.0).expect("safetensors");
        file.tensor(name).expect("that tensor").data().as_chunks().0.to_vec()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.words(name).into_iter().map(f32::from_le_bytes).collect()
    }

    fn ints(&self, name: &str) -> Vec<i32> {
        self.words(name).into_iter().map(i32::from_le_bytes).collect()
    }

    /// Tensors whose name starts with `prefix`, keyed without it.
    fn named(&self, prefix: &str) -> BTreeMap<String, NamedTensor> {
        let file = SafeTensors::deserialize(&self.0).expect("safetensors");
        let names = file.names().into_iter().filter_map(|full| Some((full, full.strip_prefix(prefix)?)));
        names
            .map(|(full, name)| {
                let shape = file.tensor(full).expect("listed").shape().to_vec();
                (name.to_owned(), NamedTensor { name: name.to_owned(), shape, data: self.floats(full) })
            })
            .collect()
    }
}

fn config_of(value: &Value, qk_norm: bool) -> ModelConfig {
    let number = |name: &str| value[name].as_u64().expect("a number") as usize;
    let config = ModelConfig {
        vocab_size: number("vocab_size"),
        context: number("max_position_embeddings"),
        layers: number("num_hidden_layers"),
        d_model: number("hidden_size"),
        heads: number("num_attention_heads"),
        kv_heads: number("num_key_value_heads"),
        head_dim: number("head_dim"),
        ffn: Ffn::SwiGlu { hidden: number("intermediate_size") },
        qk_norm,
        norm_eps: value["rms_norm_eps"].as_f64().expect("a number") as f32,
        rope_theta: value["rope_parameters"]["rope_theta"].as_f64().expect("a number") as f32,
        ..ModelConfig::preset("tiny").expect("a preset")
    };
    config.validate().expect("a valid shape");
    config
}

/// Model on a device with gradients, and its batch without packing.
fn open(name: &str) -> (Golden, Transformer, Batch) {
    let config = config_of(&json("expected.json")[name]["config"], name.starts_with("qwen"));
    let golden = Golden::open(name);
    let device = Device::flex().autodiff();
    let model = Transformer::from_named(&config, &golden.named("weights."), &device).expect("its weights");
    let ids = golden.ints("input_ids").into_iter().map(|id| id as u32).collect();
    let batch =
        Batch { ids, targets: golden.ints("targets"), starts: vec![0; 34], batch: 2, seq: 17, dropout_seed: None };
    (golden, model, batch)
}

fn packed(golden: &Golden, batch: &Batch) -> Batch {
    let starts = golden.ints("packed.starts").into_iter().map(|start| start as u32).collect();
    Batch { starts, targets: golden.ints("packed.targets"), ..batch.clone() }
}

fn logits(model: &Transformer, kernels: Kernels, batch: &Batch) -> Vec<f32> {
    let ids: Vec<i32> = batch.ids.iter().map(|id| *id as i32).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [batch.batch, batch.seq]), &Device::flex());
    values(model.valid().logits_with(kernels, ids, &batch.starts))
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("f32 values")
}

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (x, y)) in found.iter().zip(expected).enumerate() {
        assert!((x - y).abs() <= tolerance, "{what}, element {index}: {x} is not {y}");
    }
}

/// Gradients of the mean loss under the names of the weights.
fn gradients(model: &Transformer, kernels: Kernels, batch: &Batch) -> (f32, Vec<NamedTensor>) {
    struct Replace(GradientsParams);
    impl ModuleMapper for Replace {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let gradient = self.0.remove::<D>(param.id).expect("a gradient for every weight");
            Param::initialized(param.id, gradient)
        }
    }
    let counted = batch.targets.iter().filter(|target| **target >= 0).count();
    let loss = model.loss_with(kernels, batch, Objective::cross_entropy(counted as f32));
    let found = GradientsParams::from_grads(loss.clone().backward(), model);
    (values(loss)[0], model.clone().map(&mut Replace(found)).to_named())
}

#[test]
fn logits_loss_and_token_losses_are_those_of_transformers() {
    let expected = json("expected.json");
    for (name, kernels) in MODELS.into_iter().flat_map(|name| KERNELS.map(|kernels| (name, kernels))) {
        let (golden, model, batch) = open(name);
        assert_eq!(
            model.config().parameter_counts().total as u64,
            expected[name]["parameters"].as_u64().expect("a number")
        );
        assert_close(&logits(&model, kernels, &batch), &golden.floats("logits"), 1e-5, name);
        assert_close(&values(model.token_nll(&batch)), &golden.floats("nll"), 1e-5, name);
        let (loss, _) = gradients(&model, kernels, &batch);
        assert_close(&[loss], &[expected[name]["loss"].as_f64().expect("a number") as f32], 1e-5, name);
    }
}

#[test]
fn packed_documents_are_those_of_transformers_with_a_block_mask() {
    let expected = json("expected.json");
    for (name, kernels) in MODELS.into_iter().flat_map(|name| KERNELS.map(|kernels| (name, kernels))) {
        let (golden, model, batch) = open(name);
        let batch = packed(&golden, &batch);
        assert_close(&logits(&model, kernels, &batch), &golden.floats("packed.logits"), 1e-5, name);
        let (loss, found) = gradients(&model, kernels, &batch);
        assert_close(&[loss], &[expected[name]["packed_loss"].as_f64().expect("a number") as f32], 1e-5, name);
        let by_name: BTreeMap<_, _> = found.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
        for (weight, gradient) in golden.named("packed.grads.") {
            assert_close(&by_name[&weight].data, &gradient.data, 1e-6, &format!("{name} {weight}"));
        }
    }
}

#[test]
fn one_clipped_adamw_step_is_that_of_pytorch() {
    let expected = json("expected.json");
    for (name, kernels) in MODELS.into_iter().flat_map(|name| KERNELS.map(|kernels| (name, kernels))) {
        let (_, model, batch) = open(name);
        let golden = Golden::open(&format!("{name}_step"));
        let (expected_gradients, expected_after) = (golden.named("grads."), golden.named("after."));
        let (_, found) = gradients(&model, kernels, &batch);
        assert_eq!(found.len(), expected_gradients.len());
        for gradient in &found {
            assert_close(&gradient.data, &expected_gradients[&gradient.name].data, 1e-6, &gradient.name);
        }

        let norm = found.iter().map(|gradient| sum_squares(&gradient.data)).sum::<f64>().sqrt();
        assert!((norm - expected[name]["grad_norm"].as_f64().expect("a number")).abs() < 1e-5);
        let mut after = model.to_named();
        for (weight, gradient) in after.iter_mut().zip(&found) {
            let (mut m, mut v) = (vec![0.0; weight.data.len()], vec![0.0; weight.data.len()]);
            let step = AdamWStep {
                learning_rate: 1e-3,
                beta1: 0.9,
                beta2: 0.95,
                epsilon: 1e-8,
                weight_decay: if weight.shape.len() == 2 { 0.1 } else { 0.0 },
                gradient_scale: (1.0 / (norm + 1e-6)).min(1.0) as f32,
                step: 1,
            };
            adamw_update(&mut weight.data, &gradient.data, &mut m, &mut v, step);
            assert_close(&weight.data, &expected_after[&weight.name].data, 1e-5, &weight.name);
        }
        let after = after.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
        let after = Transformer::from_named(model.config(), &after, &Device::flex()).expect("the same shape");
        let counted = expected[name]["counted"].as_f64().expect("a number") as f32;
        let loss = values(after.loss(&batch, Objective::cross_entropy(counted)))[0];
        assert_close(&[loss], &[expected[name]["loss_after"].as_f64().expect("a number") as f32], 1e-5, name);
    }
}

#[test]
fn the_z_loss_and_its_gradients_are_those_of_pytorch() {
    let golden = Golden::open("z_loss");
    let (coefficient, targets) = (golden.floats("coefficient")[0], golden.ints("targets"));
    let counted = targets.iter().filter(|target| **target >= 0).count();
    let objective = Objective { divisor: counted as f32, z_loss: coefficient };
    for kernels in KERNELS {
        let leaf = |name: &str| {
            let values = golden.floats(name);
            let shape = [values.len() / 6, 6];
            Tensor::<2>::from_data(TensorData::new(values, shape), &Device::flex().autodiff()).require_grad()
        };
        let (x, weight) = (leaf("x"), leaf("weight"));
        let terms = kernels.cross_entropy(x.clone(), weight.clone(), &targets, objective);
        let gradients = terms.backward();
        assert_close(&values(terms), &golden.floats("terms"), 1e-5, "terms");
        for (name, input) in [("grads.x", &x), ("grads.weight", &weight)] {
            let found = values(input.grad(&gradients).expect("a gradient"));
            assert_close(&found, &golden.floats(name), 1e-6, name);
        }
    }
}

#[test]
fn a_soft_cap_and_weights_of_tokens_are_those_of_pytorch() {
    let golden = Golden::open("loss");
    let (targets, table) = (golden.ints("targets"), golden.floats("token_weights"));
    let options =
        LossOptions { softcap: golden.floats("cap")[0], token_weights: Some(table.into()), row_weights: None };
    let divisor = targets.iter().map(|target| options.weight(0, *target)).sum();
    let objective = Objective::cross_entropy(divisor);
    for kernels in KERNELS {
        let leaf = |name: &str| {
            let values = golden.floats(name);
            let shape = [values.len() / 6, 6];
            Tensor::<2>::from_data(TensorData::new(values, shape), &Device::flex().autodiff()).require_grad()
        };
        let (x, weight) = (leaf("x"), leaf("weight"));
        let loss = kernels.loss(x.clone(), weight.clone(), &targets, objective, &options);
        let gradients = loss.backward();
        assert_close(&values(loss), &golden.floats("loss"), 1e-5, "loss");
        for (name, input) in [("grads.x", &x), ("grads.weight", &weight)] {
            let found = values(input.grad(&gradients).expect("a gradient"));
            assert_close(&found, &golden.floats(name), 1e-6, name);
        }
        let nll = values(kernels.capped_nll(x.inner(), weight.inner(), &targets, options.softcap));
        let weighted = nll.iter().zip(&targets).map(|(nll, target)| nll * options.weight(0, *target)).sum::<f32>();
        assert_close(&[weighted / divisor], &golden.floats("loss"), 1e-5, "nll");
    }
}

/// CompleteP with its factors in the weights follows a model that has them in the forward pass.
#[test]
fn completep_follows_the_table_of_the_paper() {
    let golden = Golden::open("completep");
    let init = Init::Completep { base_width: 4, base_layers: 1 };
    let (ffn, tiny) = (Ffn::SwiGlu { hidden: 20 }, ModelConfig::preset("tiny").expect("a preset"));
    let shape = ModelConfig { vocab_size: 23, d_model: 16, heads: 2, kv_heads: 1, head_dim: 8, ffn, ..tiny };
    let config = ModelConfig { layers: 2, context: 17, norm_eps: 1e-5, rope_theta: 1e4, init, ..shape };
    let folded = |tensors: BTreeMap<String, NamedTensor>| -> BTreeMap<String, NamedTensor> {
        let fold = |(name, mut tensor): (String, NamedTensor)| {
            let factor = match name.as_str() {
                "model.norm.weight" => 0.25,
                part if part.contains("o_proj") || part.contains("down_proj") => 0.5,
                _ => 1.0,
            };
            tensor.data.iter_mut().for_each(|value| *value *= factor);
            (name, tensor)
        };
        tensors.into_iter().map(fold).collect()
    };
    let device = Device::flex().autodiff();
    let mut model = Transformer::from_named(&config, &folded(golden.named("initial.")), &device).expect("weights");
    let settings = OptimizerConfig { epsilon: 1e-4, ..OptimizerConfig::default() };
    let mut optimizer = Optimizer::new(settings, BTreeMap::new()).scaled(scales(&config));
    let streams = golden.ints("streams");
    for (stream, expected) in streams.chunks(2 * 18).zip(golden.floats("losses")) {
        let rows = || stream.chunks(18);
        let batch = Batch {
            ids: rows().flat_map(|row| &row[..17]).map(|id| *id as u32).collect(),
            targets: rows().flat_map(|row| &row[1..]).copied().collect(),
            starts: vec![0; 34],
            batch: 2,
            seq: 17,
            dropout_seed: None,
        };
        let loss = model.loss(&batch, Objective::cross_entropy(34.0));
        let mut gradients = GradientSum::default();
        gradients.add(loss.backward(), &model);
        assert_close(&values(loss), &[expected], 1e-5, "loss");
        let norm = gradients.norm(&model);
        model = optimizer.step(model, gradients, 1e-2, Clipping { norm: &norm, limit: 0.0 });
    }
    let expected = folded(golden.named("after."));
    for tensor in model.to_named() {
        assert_close(&tensor.data, &expected[&tensor.name].data, 2e-5, &tensor.name);
    }
}

#[test]
fn rotary_tables_are_those_of_transformers() {
    let golden = Golden::open("rope");
    let table = RopeTable::new(64, 16, 10_000.0);
    for (name, table) in [("cos", &table.cos), ("sin", &table.sin)] {
        let doubled: Vec<f32> = table.chunks(8).flat_map(|half| [half, half].concat()).collect();
        assert_close(&doubled, &golden.floats(name), 1e-6, name);
    }
}

#[test]
fn an_exported_folder_of_transformers_gives_its_logits_and_greedy_tokens() {
    let (config, golden) = (json("export_tiny/config.json"), json("export_tiny/golden.json"));
    let file = std::fs::read(path("export_tiny/model.safetensors")).expect("a golden file");
    let tensors = weights::load(&file).expect("weights");
    let model = Transformer::from_named(&config_of(&config, false), &tensors, &Device::flex()).expect("its weights");
    let ids = |value: &Value| -> Vec<u32> {
        value.as_array().expect("ids").iter().map(|id| id.as_u64().expect("an id") as u32).collect()
    };

    let window = ids(&golden["windows"][0]);
    let len = window.len();
    let batch =
        Batch { targets: vec![-1; len], ids: window, starts: vec![0; len], batch: 1, seq: len, dropout_seed: None };
    let rows = golden["logits"][0].as_array().expect("rows").iter().flat_map(|row| row.as_array().expect("a row"));
    let expected: Vec<f32> = rows.map(|x| x.as_f64().expect("a number") as f32).collect();
    assert_close(&logits(&model, FUSED, &batch), &expected, 1e-4, "logits");

    let greedy = ids(&golden["greedy"]["new"]);
    let options = GenerateOptions { max_new_tokens: greedy.len(), ..GenerateOptions::default() };
    assert_eq!(generate(&model, &ids(&golden["greedy"]["prompt"]), &options, u32::MAX), greedy);
}

/// PEFT's adapters on the tiny Llama: losses of every step of AdamW, adapters after some, and a merged weight.
#[test]
fn adapters_are_trained_as_peft_trains_them() {
    let golden = Golden::open("lora");
    let (_, base, _) = open("llama_tiny");
    let targets = [Target::QProj, Target::VProj, Target::OProj, Target::GateProj, Target::DownProj].to_vec();
    let lora = LoraConfig { r: 3, alpha: 6.0, dropout: 0.0, rslora: false, targets, base: BaseFormat::F32 };
    let ids = golden.ints("input_ids").into_iter().map(|id| id as u32).collect();
    let targets = golden.ints("targets");
    let counted = targets.iter().filter(|target| **target >= 0).count();
    let batch = Batch { ids, targets, starts: vec![0; 34], batch: 2, seq: 17, dropout_seed: None };
    for kernels in KERNELS {
        let mut model = base.clone().with_adapters(&lora, &golden.named("step0.")).unwrap();
        let mut optimizer = Optimizer::new(OptimizerConfig::default(), model.hidden_matrices());
        for (step, expected) in (1..).zip(golden.floats("losses")) {
            let loss = model.loss_with(kernels, &batch, Objective::cross_entropy(counted as f32));
            assert_close(&values(loss.clone().inner()), &[expected], 1e-5, "loss");
            let mut gradients = GradientSum::default();
            gradients.add(loss.backward(), &model);
            let norm = gradients.norm(&model);
            model = optimizer.step(model, gradients, 1e-2, Clipping { norm: &norm, limit: 0.0 });
            for (name, expected) in golden.named(&format!("step{step}.")) {
                let found = model.adapters().into_iter().find(|tensor| tensor.name == name).expect("an adapter");
                assert_close(&found.into_host().data, &expected.data, 2e-5, &name);
            }
        }
        let named = model.to_named();
        let merged = named.iter().find(|tensor| tensor.name == "model.layers.1.mlp.down_proj.weight").unwrap();
        assert_close(&merged.data, &golden.floats("merged"), 1e-5, "merged");
    }
}
