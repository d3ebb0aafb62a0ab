//! Training of adapters on frozen weights. Tests of bugs that users of PEFT and TRL met have their names.

use super::*;
use crate::model::lora::{BaseFormat, LoraConfig, Target};
use burn::tensor::{Int, TensorData};

fn lora(dropout: f32, targets: &[Target]) -> LoraConfig {
    LoraConfig { r: 3, alpha: 6.0, dropout, rslora: false, targets: targets.to_vec(), base: BaseFormat::F32 }
}

fn adapted(steps: u64, dropout: f32) -> Plan {
    Plan { lora: Some(lora(dropout, &Target::ALL)), ..plan(vec![phase("main", steps)]) }
}

fn base(device: &crate::device::Device) -> Transformer {
    Transformer::init(&config(), 11, device)
}

fn logits(model: &Transformer) -> Vec<u32> {
    let ids: Vec<i32> = (0..16).map(|id| (id * 7) % 40).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [2, 8]), &model.device());
    let logits = model.logits(ids, &[0, 0, 0, 0, 4, 4, 4, 4, 0, 0, 0, 0, 0, 0, 0, 0]).into_data();
    logits.iter::<f32>().map(f32::to_bits).collect()
}

/// Adapters of any of the matrices, and in both precisions.
#[test]
fn first_logits_are_those_of_the_base_bit_by_bit() {
    let device = device::open("flex").unwrap();
    let targets = [&Target::ALL[..], &[Target::VProj], &[Target::DownProj], &[Target::OProj, Target::GateProj]];
    for (targets, precision) in
        targets.into_iter().flat_map(|targets| [Precision::F32, Precision::Bf16].map(|precision| (targets, precision)))
    {
        let lora = lora(0.5, targets);
        let base = base(&device).with_precision(precision);
        let model = base.clone().with_adapters(&lora, &initial_adapters(&lora, &config(), 5)).unwrap();
        assert_eq!(logits(&model), logits(&base), "{targets:?} {precision}");
        assert_eq!(logits(&model.without_adapters()), logits(&base));
    }
}

/// The bug "resume drops or re-initialises the adapter" (transformers 24252, 29607, lerobot 3459): every stop, with dropout.
#[test]
fn resume_keeps_the_adapter_and_the_masks() {
    for stops in [vec![6], vec![4, 8], vec![3, 6, 7, 11]] {
        assert_pieces_equal_the_whole(&adapted(12, 0.25), &stops);
    }
    let [with, without] = [0.25, 0.0].map(|dropout| in_pieces(&adapted(12, dropout), &[]));
    assert!(with.1 != without.1, "dropout has no influence");
    assert!(without.0[11].loss < without.0[0].loss, "{} -> {}", without.0[0].loss, without.0[11].loss);
}

/// Checkpoints hold nothing but adapters and their optimizer state, and the base keeps every bit.
#[test]
fn only_adapters_are_trained_and_saved() {
    let plan = adapted(6, 0.1);
    let mut host = Host::default();
    let trained = weights::load(&process(&plan, &mut host, None).unwrap().unwrap()).unwrap();
    let initial = initial_adapters(plan.lora.as_ref().unwrap(), &config(), plan.seed);
    assert_eq!(trained.keys().collect::<Vec<_>>(), initial.keys().collect::<Vec<_>>());
    assert!(trained.iter().all(|(name, tensor)| *tensor != initial[name]), "every adapter moves");
    let saved = host.saved.last().unwrap();
    assert_eq!(weights::load(&saved.weights).unwrap(), trained);
    let moments = weights::load(&saved.optimizer).unwrap();
    assert_eq!(moments.len(), 2 * trained.len());
    assert!(moments.keys().all(|name| name.contains(".lora.")), "{:?}", moments.keys());
    let frozen = |model: &Transformer| weights::save(model.shared());
    let device = device::open("flex").unwrap().autodiff();
    let samplers = samplers(&plan);
    let lora = plan.lora.as_ref().unwrap();
    let model = base(&device).with_adapters(lora, &initial).unwrap();
    let before = frozen(&model);
    let trainer = Trainer::new(&plan, &samplers, model, settings(), "flex");
    let Ok(Finished::Complete { model, .. }) = trainer.run(&mut Host::default()) else { panic!("it completes") };
    assert!(frozen(&model) == before);
}

#[test]
fn a_checkpoint_on_another_base_or_of_other_adapters_is_refused() {
    let plan = adapted(8, 0.0);
    let mut host = Host { stop_after: Some(4), ..Host::default() };
    process(&plan, &mut host, None).unwrap();
    let saved = &host.saved[0];
    let device = device::open("flex").unwrap().autodiff();
    let below = weights::save(base(&device).shared());
    let restored = |plan: &Plan, digest: Option<&str>, forked_at| {
        let base = digest.map(|digest| Base { digest, weights: &below });
        let config = config();
        let expected = Expected { model: &config, optimizer: settings(), plan, device: &device, forked_at, base };
        restore(saved.files(), &expected).map(|restored| restored.state.step).map_err(|error| error.to_string())
    };
    assert_eq!(restored(&plan, Some(BASE), None), Ok(4));
    for forked_at in [None, Some(4)] {
        let other = restored(&plan, Some("another"), forked_at).unwrap_err();
        assert!(other.contains("its base model is the model that was drawn"), "{other}");
        let without = restored(&Plan { lora: None, ..plan.clone() }, None, forked_at).unwrap_err();
        assert!(without.contains("its adapter is"), "{without}");
        let narrow = Plan { lora: Some(lora(0.0, &[Target::QProj])), ..plan.clone() };
        assert!(restored(&narrow, Some(BASE), forked_at).unwrap_err().contains("its adapter is"));
    }
    let scaled = Plan { lora: Some(LoraConfig { alpha: 1.0, ..lora(0.0, &Target::ALL) }), ..plan.clone() };
    assert!(restored(&scaled, Some(BASE), None).is_err());
    assert_eq!(restored(&scaled, Some(BASE), Some(4)), Ok(4), "a fork may scale adapters in another way");
}

/// The bug "gradient accumulation scales the loss" (transformers 34191, 35203, 37766, trl 2175, 2604), for adapters.
#[test]
fn accumulation_equals_one_large_batch_of_adapters() {
    let trained = |batch, accumulation| {
        let plan = Plan { batch, accumulation, ..adapted(5, 0.0) };
        let device = device::open("flex").unwrap().autodiff();
        let undropped = ModelConfig { dropout: 0.0, ..config() };
        let lora = plan.lora.as_ref().unwrap();
        let model = Transformer::init(&undropped, 5, &device);
        let model = model.with_adapters(lora, &initial_adapters(lora, &undropped, 5)).unwrap();
        let samplers = samplers(&plan);
        let trainer = Trainer::new(&plan, &samplers, model, settings(), "flex");
        let mut host = Host::default();
        let Ok(Finished::Complete { model, .. }) = trainer.run(&mut host) else { panic!("it completes") };
        (host.rows, model.to_named())
    };
    let ((split_rows, split), (joint_rows, joint)) = (trained(2, 4), trained(8, 1));
    for (split, joint) in split_rows.iter().zip(&joint_rows) {
        assert!((split.loss - joint.loss).abs() < 1e-5 && (split.grad_norm - joint.grad_norm).abs() < 1e-5);
    }
    for (split, joint) in split.iter().zip(&joint) {
        assert!(split.data.iter().zip(&joint.data).all(|(a, b)| (a - b).abs() < 1e-5), "{}", split.name);
    }
}

#[test]
fn merged_weights_compute_what_adapters_do() {
    let plan = adapted(12, 0.0);
    let trained = weights::load(&in_pieces(&plan, &[]).1).unwrap();
    let device = device::open("flex").unwrap();
    let model = base(&device).with_adapters(plan.lora.as_ref().unwrap(), &trained).unwrap();
    let named = model.to_named().into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
    let merged = Transformer::from_named(&config(), &named, &device).unwrap();
    let close = |(a, b): (u32, u32)| (f32::from_bits(a) - f32::from_bits(b)).abs() < 1e-5;
    assert!(logits(&model).into_iter().zip(logits(&merged)).all(close));
    assert_ne!(logits(&merged), logits(&base(&device)));
}

/// Frozen matrices in four bits: another model, which adapters learn on and resume exactly.
#[test]
fn a_base_in_four_bits_is_rounded_once_and_trains_in_pieces_with_the_bits_of_one() {
    let lora = LoraConfig { base: BaseFormat::Nf4, ..lora(0.1, &Target::ALL) };
    let plan = Plan { lora: Some(lora.clone()), ..adapted(8, 0.1) };
    assert_pieces_equal_the_whole(&plan, &[3, 5]);
    let device = device::open("flex").unwrap();
    let adapters = initial_adapters(&lora, &config(), 5);
    let model = base(&device).with_adapters(&lora, &adapters).unwrap();
    let (before, after) = (base(&device).to_named(), model.to_named());
    for (before, after) in before.into_iter().zip(after) {
        let is_matrix = before.name.contains("_proj");
        assert_eq!(before != after, is_matrix, "{}", before.name);
        let most = before.data.iter().fold(0f32, |most, value| most.max(value.abs()));
        assert!(before.data.iter().zip(&after.data).all(|(a, b)| (a - b).abs() < 0.2 * most), "{}", before.name);
    }
    let again = model.clone().with_adapters(&lora, &adapters).unwrap();
    assert_eq!(logits(&again), logits(&model));
}
