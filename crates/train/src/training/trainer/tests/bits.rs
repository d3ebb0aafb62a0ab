//! A training has one result, whatever processor computes it.

use std::process::Command;

use super::*;
use crate::cpu::isa;
use crate::cpu::simd::Instructions;

/// Has more inner indices than a block of products, and sizes that fill no vector and no tile. The weights are so
/// large that the softmax has something to tell apart.
fn wide(ffn: Ffn) -> ModelConfig {
    ModelConfig { d_model: 36, heads: 3, head_dim: 12, init_std: 0.3, ffn, ..config() }
}

/// BLAKE3 of the losses and weights of a training on the CPU.
fn digest(model: &ModelConfig, settings: OptimizerConfig, precision: Precision) -> String {
    let plan = Plan { precision, ..plan(vec![phase("main", 4)]) };
    let samplers = samplers(&plan);
    let device = device::open("flex").unwrap().autodiff();
    let model = Transformer::init(model, plan.seed, &device);
    let mut host = Host::default();
    let finished = Trainer::new(&plan, &samplers, model, settings, "flex").run(&mut host).unwrap();
    let Finished::Complete { model, .. } = finished else { panic!("nobody asked to stop") };
    let mut hasher = blake3::Hasher::new();
    for row in &host.rows {
        hasher.update(&row.loss.to_le_bytes());
    }
    hasher.update(&weights::save(model.shared()));
    hasher.finalize().to_hex()[..16].to_owned()
}

/// The digests are the same on x86-64 and aarch64, except for the sums of tile registers. They depend on the order of
/// sums, on formulas and on the initial weights. After an intended change of those, put the new digests here.
#[test]
fn every_processor_trains_to_these_bits() {
    let (gated, ungated) = (wide(Ffn::SwiGlu { hidden: 389 }), wide(Ffn::Gelu { hidden: 77 }));
    let found = [
        digest(&gated, settings(), Precision::F32),
        digest(&gated, settings(), Precision::Bf16),
        digest(&ungated, muon(), Precision::F32),
    ];
    let bf16 = if Instructions::best().has_tiles() { "be94d11f338dcd09" } else { "631d32907b7c7559" };
    assert_eq!(found, ["969f2888fb20dd0c", bf16, "83d03012fd476174"]);
}

#[test]
fn every_set_of_instructions_trains_to_these_bits() {
    isa::lower().into_iter().for_each(|set| train_in_a_child(isa::VARIABLE, set));
    if Instructions::best().has_tiles() {
        train_in_a_child(isa::VARIABLE, "amx");
    }
}

/// Each number of threads needs its own process: the team of a process has one size, and micro-batches run on a
/// thread that does not belong to a team which a test makes.
#[test]
fn every_number_of_threads_trains_to_these_bits() {
    ["1", "2", "3", "7"].into_iter().for_each(|threads| train_in_a_child("RAYON_NUM_THREADS", threads));
}

/// Runs in a child, because settings of the processor hold for a whole process.
fn train_in_a_child(variable: &str, value: &str) {
    let name = concat!(module_path!(), "::every_processor_trains_to_these_bits");
    let (_, name) = name.split_once("::").expect("a path below the crate");
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", name]).env(variable, value).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{variable}={value}: {text}");
}
