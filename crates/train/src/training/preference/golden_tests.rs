//! Compares every loss with TRL 1.16; `scripts/golden/make_dpo.py` says how the file was made.

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::tensor::Device;
use safetensors::SafeTensors;

use super::{Answers, NllOf, PreferenceLoss, PreferenceObjective, Reference, StepShare, judge, logps, raised_tokens};
use crate::model::config::{Ffn, ModelConfig};
use crate::model::lora::{BaseFormat, LoraConfig, Target};
use crate::model::weights::NamedTensor;
use crate::model::{Batch, Transformer};
use crate::optim::{Clipping, GradientSum, Optimizer, OptimizerConfig};

const STEPS: usize = 5;
const PAIRS: usize = 2;
const SEQ: usize = 12;
const EOS: u32 = 1;
const FIGURES: [&str; 6] =
    ["rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins", "logps/chosen", "logps/rejected"];

struct Golden {
    preferences: Vec<u8>,
    base: BTreeMap<String, NamedTensor>,
}

impl Golden {
    fn open() -> Golden {
        let path =
            |name: &str| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden").join(name);
        let read = |name: &str| std::fs::read(path(name)).expect("a golden file");
        let file = read("llama_tiny.safetensors");
        let file = SafeTensors::deserialize(&file).unwrap();
        let weight = |name: &str| {
            let tensor = file.tensor(&format!("weights.{name}")).unwrap();
            let data = tensor.data().chunks(4).map(|word| f32::from_le_bytes(word.try_into().unwrap())).collect();
            NamedTensor { name: name.to_owned(), shape: tensor.shape().to_vec(), data }
        };
        let names = file.names().into_iter().filter_map(|name| name.strip_prefix("weights."));
        let base = names.map(|name| (name.to_owned(), weight(name))).collect();
        Golden { preferences: read("preferences.safetensors"), base }
    }

    fn words(&self, name: &str) -> Vec<[u8; 4]> {
        let file = SafeTensors::deserialize(&self.preferences).unwrap();
        file.tensor(name).unwrap_or_else(|_| panic!("no {name}")).data().as_chunks().0.to_vec()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.words(name).into_iter().map(f32::from_le_bytes).collect()
    }

    fn ids(&self, row: usize, part: &str) -> Vec<u32> {
        self.words(&format!("rows.{row}.{part}_ids")).into_iter().map(u32::from_le_bytes).collect()
    }

    /// Adapters under PEFT's names.
    fn adapters(&self, prefix: &str) -> BTreeMap<String, NamedTensor> {
        let file = SafeTensors::deserialize(&self.preferences).unwrap();
        let names = file.names().into_iter().filter_map(|full| Some((full, full.strip_prefix(prefix)?)));
        names
            .filter(|(_, name)| name.contains("lora_"))
            .map(|(full, name)| {
                let shape = file.tensor(full).unwrap().shape().to_vec();
                (name.to_owned(), NamedTensor { name: name.to_owned(), shape, data: self.floats(full) })
            })
            .collect()
    }

    fn model(&self) -> Transformer {
        let config = ModelConfig {
            vocab_size: 67,
            context: 64,
            layers: 2,
            d_model: 32,
            heads: 4,
            kv_heads: 2,
            head_dim: 8,
            ffn: Ffn::SwiGlu { hidden: 48 },
            ..ModelConfig::preset("tiny").unwrap()
        };
        Transformer::from_named(&config, &self.base, &Device::flex().autodiff()).unwrap()
    }

    /// Rows of a step: pairs, or one answer of each prompt in turn.
    fn batch(&self, step: usize, objective: &PreferenceObjective) -> (Batch, Vec<bool>) {
        let mut batch =
            Batch { ids: Vec::new(), targets: Vec::new(), starts: Vec::new(), batch: 0, seq: SEQ, dropout_seed: None };
        let mut desirable = Vec::new();
        for row in PAIRS * step..PAIRS * (step + 1) {
            let sides = ["chosen", "rejected"];
            let single = [sides[row % 2]];
            let sides = if objective.loss == PreferenceLoss::Kto { &single[..] } else { &sides[..] };
            for side in sides {
                let (prompt, answer) = (self.ids(row, "prompt"), self.ids(row, side));
                let text: Vec<u32> = prompt.iter().chain(&answer).copied().collect();
                let inputs = text.len() - 1;
                let target = |at: usize| {
                    if at < inputs && at + 1 >= prompt.len() { text[at + 1] as i32 } else { -1 }
                };
                batch.ids.extend((0..SEQ).map(|at| if at < inputs { text[at] } else { EOS }));
                batch.targets.extend((0..SEQ).map(target));
                batch.starts.extend((0..SEQ).map(|at| if at < inputs { 0 } else { at as u32 }));
                batch.batch += 1;
                desirable.push(*side == "chosen");
            }
        }
        (batch, desirable)
    }
}

fn lora() -> LoraConfig {
    LoraConfig { r: 2, alpha: 4.0, dropout: 0.0, rslora: false, targets: Target::ALL.to_vec(), base: BaseFormat::F32 }
}

/// Trains the adapters of `start` and compares losses and figures of every step. Returns the trained adapters.
fn compare(golden: &Golden, case: &str, start: &str, objective: PreferenceObjective, known: bool) -> Transformer {
    let mut model = golden.model().with_adapters(&lora(), &golden.adapters(start)).unwrap();
    let before = if start == "fresh." { model.clone().without_adapters() } else { model.clone() };
    let settings = OptimizerConfig { weight_decay: 0.0, ..OptimizerConfig::default() };
    let mut optimizer = Optimizer::new(settings, model.hidden_matrices());
    let (losses, figures) = (golden.floats(&format!("{case}.losses")), golden.floats(&format!("{case}.figures")));
    for step in 0..STEPS {
        let (batch, desirable) = golden.batch(step, &objective);
        let reference = if known {
            // As if the file had only the answers of this step.
            Reference::Known(logps(&before, &batch).into())
        } else {
            Reference::Model(Box::new(before.clone()))
        };
        let documents: Vec<u64> = (0..PAIRS as u64).map(|pair| 2 * pair).collect();
        let answers = Answers { batch: &batch, documents: &documents, desirable: &desirable, eos: EOS };
        let share = StepShare { samples: PAIRS as f64, tokens: raised_tokens(&objective, &batch) };
        let judged = judge(&model, &answers, &objective, Some(&reference), share);
        let difference = (judged.loss - f64::from(losses[step])).abs();
        assert!(difference < 2e-5, "{case}, step {step}: {} is not {}", judged.loss, losses[step]);
        let named = judged.figures.named();
        for (name, expected) in FIGURES.into_iter().zip(&figures[6 * step..]) {
            let is_pairwise = ["rewards/accuracies", "rewards/margins"].contains(&name);
            if objective.loss == PreferenceLoss::Kto && is_pairwise {
                continue;
            }
            let found = named[name];
            assert!(
                (found - f64::from(*expected)).abs() < 2e-4,
                "{case}, step {step}, {name}: {found}, not {expected}"
            );
        }
        let mut gradients = GradientSum::default();
        gradients.add(judged.slope.backward(), &model);
        let norm = gradients.norm(&model);
        model = optimizer.step(model, gradients, 2e-2, Clipping { norm: &norm, limit: 0.0 });
    }
    model
}

#[test]
fn losses_and_figures_of_dpo_are_those_of_trl() {
    let golden = Golden::open();
    let with = |loss| PreferenceObjective::new(loss, 0.5);
    for (case, loss) in
        [("hinge", PreferenceLoss::Hinge), ("ipo", PreferenceLoss::Ipo), ("sigmoid_norm", PreferenceLoss::SigmoidNorm)]
    {
        compare(&golden, case, "fresh.", with(loss), false);
    }
    let robust = PreferenceObjective { label_smoothing: 0.2, ..with(PreferenceLoss::Robust) };
    compare(&golden, "robust", "fresh.", robust, false);
    compare(&golden, "continued", "old.", with(PreferenceLoss::Sigmoid), false);
    compare(&golden, "precomputed", "fresh.", with(PreferenceLoss::Sigmoid), true);
    let trained = compare(&golden, "sigmoid", "fresh.", with(PreferenceLoss::Sigmoid), false);
    let expected = golden.adapters("sigmoid.");
    for found in trained.adapters().into_iter().map(NamedTensor::into_host) {
        for (found_at, expected_at) in found.data.iter().zip(&expected[&found.name].data) {
            assert!((found_at - expected_at).abs() < 2e-3, "{}: {found_at} is not {expected_at}", found.name);
        }
    }
}

#[test]
fn losses_and_figures_of_orpo_are_those_of_trl() {
    let objective = PreferenceObjective { nll: NllOf::Text, ..PreferenceObjective::new(PreferenceLoss::Orpo, 0.5) };
    compare(&Golden::open(), "orpo", "old.", objective, false);
}

#[test]
fn losses_and_figures_of_kto_are_those_of_trl() {
    compare(&Golden::open(), "kto", "old.", PreferenceObjective::new(PreferenceLoss::Kto, 0.5), false);
}
