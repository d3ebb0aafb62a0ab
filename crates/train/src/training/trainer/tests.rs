//! Tests the loop against a host in memory. Each resume bug that is common elsewhere has a test with its name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::tensor::Tensor;

use super::*;
use crate::data::TokenStream;
use crate::data::fixtures::shard;
use crate::device;
use crate::model::config::{Ffn, Init};
use crate::model::lora::initial_adapters;
use crate::model::weights;
use crate::optim::MuonConfig;
use crate::precision::Precision;
use crate::training::checkpoint::{Base, CheckpointError, Expected, Files, restore};
use crate::training::phase::Phase;
use crate::training::schedule::{Schedule, ScheduleKind};
use stepwell_base::protocol::SampleText;

mod bits;
mod checkpoints;
mod features;
mod guard;
mod lora;
mod resume;
mod watch;

#[derive(PartialEq)]
struct Saved {
    state: Vec<u8>,
    weights: Vec<u8>,
    optimizer: Vec<u8>,
    ema: Option<Vec<u8>>,
    step: u64,
    permanent: bool,
    extra: u32,
}

impl Saved {
    fn files(&self) -> Files<'_> {
        let Saved { state, weights, optimizer, ema, .. } = self;
        Files { state, weights, optimizer, ema: ema.as_deref() }
    }
}

/// Encodes the files of a snapshot as it is at this moment.
fn saved(snapshot: &Snapshot) -> Saved {
    Saved {
        state: snapshot.state.to_file(),
        weights: weights::save(snapshot.weights.clone()),
        optimizer: weights::save(snapshot.moments.clone()),
        ema: snapshot.ema.clone().map(weights::save),
        step: snapshot.state.step,
        permanent: snapshot.permanent,
        extra: snapshot.extra,
    }
}

/// Writes a snapshot when training is two steps further, or earlier if the loop waits for it.
#[derive(Default)]
struct Host {
    rows: Vec<MetricRow>,
    saved: Vec<Saved>,
    /// A snapshot that is not written yet, and the files that it must become.
    in_flight: Option<(Snapshot, Saved)>,
    /// Asks to stop once this many steps are done.
    stop_after: Option<u64>,
    /// Crashes after this many steps, without a last checkpoint.
    crash_after: Option<u64>,
    /// Numbers of steps beside their rows, as bits.
    measured: Vec<(u64, String, u64)>,
    texts: Vec<(u64, Vec<SampleText>)>,
    watch: Watch,
}

#[derive(Debug, PartialEq)]
enum HostError {
    Train(TrainError),
    Crash,
}

impl From<TrainError> for HostError {
    fn from(error: TrainError) -> Self {
        HostError::Train(error)
    }
}

impl TrainingHost for Host {
    type Error = HostError;

    fn step_done(&mut self, row: MetricRow) -> Result<(), HostError> {
        self.rows.push(row);
        let done = self.rows.last().map_or(0, |row| row.train_step);
        if self.in_flight.as_ref().is_some_and(|(snapshot, _)| snapshot.state.step + 2 <= done) {
            self.settle()?;
        }
        if self.crash_after == Some(done) {
            self.in_flight = None;
            return Err(HostError::Crash);
        }
        Ok(())
    }

    fn measured(&mut self, train_step: u64, values: BTreeMap<String, f64>) -> Result<(), HostError> {
        self.measured.extend(values.into_iter().map(|(name, value)| (train_step, name, value.to_bits())));
        Ok(())
    }

    fn wrote(&mut self, train_step: u64, texts: Vec<SampleText>) -> Result<(), HostError> {
        self.texts.push((train_step, texts));
        Ok(())
    }

    fn save(&mut self, snapshot: Snapshot) -> Result<(), HostError> {
        assert!(self.in_flight.is_none(), "two snapshots in memory");
        let files = saved(&snapshot);
        self.in_flight = Some((snapshot, files));
        Ok(())
    }

    fn settle(&mut self) -> Result<(), HostError> {
        if let Some((snapshot, files)) = self.in_flight.take() {
            assert!(saved(&snapshot) == files, "training has changed the snapshot of step {}", files.step);
            self.saved.push(files);
        }
        Ok(())
    }

    fn writing_cost(&self) -> Option<Duration> {
        self.in_flight.is_none().then_some(Duration::ZERO)
    }

    fn stop_requested(&self) -> bool {
        self.stop_after.is_some_and(|limit| self.rows.last().map_or(0, |row| row.train_step) >= limit)
    }
}

fn config() -> ModelConfig {
    ModelConfig {
        vocab_size: 40,
        context: 8,
        layers: 2,
        d_model: 16,
        heads: 2,
        kv_heads: 1,
        head_dim: 8,
        ffn: Ffn::SwiGlu { hidden: 24 },
        qk_norm: true,
        rope_theta: 1e4,
        norm_eps: 1e-5,
        dropout: 0.1,
        init_std: 0.02,
        init: Init::default(),
        logit_softcap: 0.0,
    }
}

fn phase(name: &str, steps: u64) -> Phase {
    Phase::new(name, steps, 8)
}

fn plan(phases: Vec<Phase>) -> Plan {
    Plan {
        seed: 11,
        batch: 2,
        accumulation: 2,
        learning_rate: 1e-2,
        schedule: Schedule { kind: ScheduleKind::Cosine, warmup_steps: Some(2), ..Schedule::default() },
        clip: 1.0,
        checkpoint_every: Some(4),
        phases,
        ..Plan::default()
    }
}

/// 11 samples: with 4 per step, epochs end inside steps.
fn samplers(plan: &Plan) -> Vec<Sampler> {
    let documents: Vec<Vec<u32>> = (0..8).map(|d| (0..9).map(|t| 2 + (d * 5 + t * t) % 38).collect()).collect();
    let documents: Vec<&[u32]> = documents.iter().map(Vec::as_slice).collect();
    let stream = Arc::new(TokenStream::new(vec![shard(&documents)]).unwrap());
    plan.phases
        .iter()
        .map(|phase| Sampler::new(plan.seed, &phase.name, Arc::clone(&stream), phase.context).unwrap())
        .collect()
}

fn settings() -> OptimizerConfig {
    OptimizerConfig::default()
}

fn muon() -> OptimizerConfig {
    OptimizerConfig { muon: Some(MuonConfig::default()), ..settings() }
}

/// Digest of the frozen model, which tests do not compute.
const BASE: &str = "the model that was drawn from the seed";

fn process(plan: &Plan, host: &mut Host, saved: Option<&Saved>) -> Result<Option<Vec<u8>>, HostError> {
    process_with(settings(), plan, host, saved)
}

fn process_with(
    settings: OptimizerConfig,
    plan: &Plan,
    host: &mut Host,
    saved: Option<&Saved>,
) -> Result<Option<Vec<u8>>, HostError> {
    process_on("flex", settings, plan, host, saved)
}

/// Runs one process, from `saved` or from nothing. Returns the final weights if the training completes.
fn process_on(
    backend: &str,
    settings: OptimizerConfig,
    plan: &Plan,
    host: &mut Host,
    saved: Option<&Saved>,
) -> Result<Option<Vec<u8>>, HostError> {
    let device = device::open(backend).unwrap().autodiff();
    let (config, samplers) = (config(), samplers(plan));
    let initial = Transformer::init(&config, plan.seed, &device);
    let below = plan.lora.as_ref().map(|_| weights::save(initial.shared()));
    let trainer = match saved {
        None => {
            let model = match &plan.lora {
                None => initial,
                Some(lora) => initial.with_adapters(lora, &initial_adapters(lora, &config, plan.seed)).unwrap(),
            };
            Trainer::new(plan, &samplers, model, settings, backend)
        }
        Some(saved) => {
            let optimizer = settings.clone();
            let base = below.as_deref().map(|weights| Base { digest: BASE, weights });
            let expected = Expected { model: &config, optimizer, plan, device: &device, forked_at: None, base };
            let restored = restore(saved.files(), &expected).unwrap();
            Trainer::resumed(plan, &samplers, restored, settings, backend)
        }
    };
    let trainer = trainer.on_base(below.map(|_| BASE.to_owned()));
    let ended = trainer.watching(host.watch.clone()).run(host);
    assert!(host.in_flight.is_none(), "the training has ended before its last checkpoint was written");
    match ended? {
        Finished::Complete { model, .. } => Ok(Some(weights::save(model.trained()))),
        Finished::Stopped => Ok(None),
        Finished::Rewound { .. } => panic!("it has no guard"),
    }
}

/// Runs in pieces: stops as after SIGTERM at each of `stops`, then trains to the end.
fn in_pieces(plan: &Plan, stops: &[u64]) -> (Vec<MetricRow>, Vec<u8>) {
    in_pieces_with(settings(), plan, stops)
}

fn in_pieces_with(settings: OptimizerConfig, plan: &Plan, stops: &[u64]) -> (Vec<MetricRow>, Vec<u8>) {
    let mut host = Host::default();
    let mut rows = Vec::new();
    for stop in stops {
        let mut next = Host { stop_after: Some(*stop), ..Host::default() };
        // A host counts from its own rows, so it gets the last one.
        next.rows.extend(rows.last().cloned());
        let handed = next.rows.len();
        assert_eq!(process_with(settings.clone(), plan, &mut next, host.saved.last()), Ok(None), "stop at {stop}");
        rows.extend(next.rows.drain(handed..));
        if !next.saved.is_empty() {
            host.saved = next.saved;
        }
    }
    let saved = host.saved.last();
    let mut last = Host::default();
    let weights = process_with(settings, plan, &mut last, saved).unwrap().unwrap();
    rows.extend(last.rows);
    (rows, weights)
}

/// Everything but the speed, bit for bit.
fn comparable(rows: &[MetricRow]) -> Vec<[u64; 6]> {
    let z_loss = |row: &MetricRow| row.z_loss.map_or(u64::MAX, f64::to_bits);
    rows.iter()
        .map(|row| {
            let [loss, rate, norm] = [row.loss, row.learning_rate, row.grad_norm].map(f64::to_bits);
            [row.train_step, loss, z_loss(row), rate, norm, row.tokens_so_far]
        })
        .collect()
}

fn assert_pieces_equal_the_whole(plan: &Plan, stops: &[u64]) {
    let (whole_rows, whole) = in_pieces(plan, &[]);
    let (rows, weights) = in_pieces(plan, stops);
    assert_eq!(comparable(&rows), comparable(&whole_rows), "rows with stops at {stops:?}");
    assert!(weights == whole, "weights with stops at {stops:?}");
}

/// On a GPU, with the kernels that one process has chosen: the losses equal those of the CPU, and one
/// piece and two pieces give the same bits.
#[cfg(feature = "cube")]
#[test]
fn a_device_trains_as_the_cpu_does_and_resumes_exactly() {
    if device::fixtures::gpu().is_none() {
        return;
    }
    let plan = Plan { checkpoint_every: Some(2), z_loss: 0.01, ..plan(vec![phase("main", 4)]) };
    for settings in [settings(), muon()] {
        assert_device_trains_as_the_cpu(settings, &plan);
    }
}

#[cfg(feature = "cube")]
fn assert_device_trains_as_the_cpu(settings: OptimizerConfig, plan: &Plan) {
    let (cpu, _) = in_pieces_with(settings.clone(), plan, &[]);
    let name = device::fixtures::gpu_name();
    let mut whole = Host::default();
    let weights = process_on(&name, settings.clone(), plan, &mut whole, None).unwrap();
    for (row, cpu) in whole.rows.iter().zip(&cpu) {
        let close = |x: f64, y: f64| (x - y).abs() < 1e-3 * y;
        assert!(close(row.loss, cpu.loss) && close(row.grad_norm, cpu.grad_norm), "{row:?} is not {cpu:?}");
        assert!(close(row.z_loss.unwrap(), cpu.z_loss.unwrap()), "{row:?} is not {cpu:?}");
    }
    let mut first = Host { stop_after: Some(2), ..Host::default() };
    assert_eq!(process_on(&name, settings.clone(), plan, &mut first, None).unwrap(), None);
    let mut rest = Host::default();
    let resumed = process_on(&name, settings, plan, &mut rest, first.saved.last()).unwrap();
    let rows = [first.rows, rest.rows].concat();
    assert_eq!(comparable(&rows), comparable(&whole.rows));
    assert!(resumed == weights, "weights in two pieces");
    let state: TrainState = serde_json::from_slice(&rest.saved.last().unwrap().state).unwrap();
    assert!(state.tuning == tuning::current() && !state.tuning.is_empty(), "{:?}", state.tuning);
}

#[test]
fn muon_learns_and_resumes_exactly() {
    let plan = plan(vec![phase("main", 12)]);
    let (rows, weights) = in_pieces_with(muon(), &plan, &[]);
    assert!(rows[11].loss < 0.97 * rows[0].loss, "{} -> {}", rows[0].loss, rows[11].loss);
    let (pieces, resumed) = in_pieces_with(muon(), &plan, &[3, 8]);
    assert_eq!(comparable(&pieces), comparable(&rows));
    assert!(resumed == weights);
    assert!(in_pieces(&plan, &[]).1 != weights, "it is not AdamW");
}

#[test]
fn bf16_learns_and_resumes_exactly_and_is_not_f32() {
    let exact = plan(vec![phase("main", 40)]);
    let reduced = Plan { precision: Precision::Bf16, ..exact.clone() };
    let (exact_rows, exact_weights) = in_pieces(&exact, &[]);
    let (rows, weights) = in_pieces(&reduced, &[]);
    assert!(weights != exact_weights, "operands are rounded");
    for (row, exact) in rows.iter().zip(&exact_rows) {
        let (step, difference) = (row.train_step, (row.loss - exact.loss).abs());
        assert!(difference < 0.02 * exact.loss, "step {step}: {} is not {}", row.loss, exact.loss);
    }
    assert_pieces_equal_the_whole(&reduced, &[3, 8]);
}

#[test]
fn a_checkpoint_of_another_precision_or_z_loss_is_refused_but_in_a_fork() {
    let exact = plan(vec![phase("main", 8)]);
    let mut host = Host { stop_after: Some(4), ..Host::default() };
    process(&exact, &mut host, None).unwrap();
    let (saved, model) = (&host.saved[0], config());
    let device = device::open("flex").unwrap().autodiff();
    let restored = |plan: &Plan, fork: bool| {
        let forked_at = fork.then_some(4);
        let expected = Expected { model: &model, optimizer: settings(), plan, device: &device, forked_at, base: None };
        restore(saved.files(), &expected).map(|restored| restored.state.step)
    };
    for (plan, message) in [
        (Plan { precision: Precision::Bf16, ..exact.clone() }, "its precision is f32, this run has bf16"),
        (Plan { z_loss: 1e-4, ..exact.clone() }, "its z-loss is 0, this run has 0.0001"),
    ] {
        assert_eq!(restored(&plan, true).unwrap(), 4);
        assert_eq!(restored(&plan, false).unwrap_err().to_string(), message);
    }
}

/// The initial weights give the same cross-entropy. `log Z` of a model that guesses is the log of the vocabulary
/// size, 40.
#[test]
fn a_z_loss_is_a_metric_of_its_own_and_keeps_log_z_small() {
    let without = plan(vec![phase("main", 40)]);
    let (plain, _) = in_pieces(&without, &[]);
    assert!(plain.iter().all(|row| row.z_loss.is_none()));
    let log_sums = |z_loss| {
        let with = Plan { z_loss, ..without.clone() };
        let (rows, _) = in_pieces(&with, &[]);
        assert_eq!(rows[0].loss, plain[0].loss);
        assert!(rows[2].loss != plain[2].loss);
        let log_sum = |row: &MetricRow| (row.z_loss.unwrap() / z_loss).sqrt();
        [log_sum(&rows[0]), log_sum(&rows[39])]
    };
    let ([first, weak], [same, strong]) = (log_sums(1e-4), log_sums(1.0));
    assert!((first - 40f64.ln()).abs() < 0.1 && (first - same).abs() < 1e-6, "{first}, {same}");
    assert!(strong < 0.8 * weak, "{strong} is not below {weak}");
    assert_pieces_equal_the_whole(&Plan { z_loss: 0.05, ..without }, &[3, 8]);
}

/// A fork may freeze layers and change the optimizer; it takes over the state that fits.
#[test]
fn a_fork_takes_over_the_state_that_fits() {
    let plan = plan(vec![phase("main", 8)]);
    let mut host = Host { stop_after: Some(4), ..Host::default() };
    process(&plan, &mut host, None).unwrap();
    let saved = &host.saved[0];
    let device = device::open("flex").unwrap().autodiff();
    let model = config();
    let forked = |optimizer, freeze_layers, fork: bool| {
        let forked_at = fork.then_some(4);
        let plan = Plan { freeze_layers, ..plan.clone() };
        let expected = Expected { model: &model, optimizer, plan: &plan, device: &device, forked_at, base: None };
        let restored = restore(saved.files(), &expected)?;
        let named = restored.optimizer.shared();
        Ok((restored.optimizer.without_state(&restored.model), named.len()))
    };
    let whole = weights::load(&saved.optimizer).unwrap().len();
    let outcome = |tried: Result<(usize, usize), CheckpointError>| tried.map_err(|error| error.to_string());
    assert_eq!(outcome(forked(settings(), 0, true)), Ok((0, whole)));
    let above = 2 * (8 + 1);
    assert_eq!(outcome(forked(settings(), 1, true)), Ok((0, above)));
    assert_eq!(outcome(forked(muon(), 0, true)), Ok((8, whole - 2 * 8)));
    assert!(outcome(forked(settings(), 1, false)).unwrap_err().contains("number of frozen layers"));
}

/// A fork begins its standing anew once, at the checkpoint of the other run, and not at each resume.
#[test]
fn a_fork_keeps_the_standing_of_its_own_checkpoints() {
    let plan = plan(vec![phase("main", 8)]);
    let mut host = Host { stop_after: Some(4), ..Host::default() };
    process(&plan, &mut host, None).unwrap();
    let saved = &host.saved[0];
    let best = Some(crate::training::Best { step: 3, loss: 1.5 });
    let standing = Standing { seen: 4, newest: best, best, ..Standing::default() };
    let state = TrainState { standing, ..TrainState::from_file(&saved.state).unwrap() }.to_file();
    let (device, config) = (device::open("flex").unwrap().autodiff(), config());
    let resumed = |forked_at| {
        let expected =
            Expected { model: &config, optimizer: settings(), plan: &plan, device: &device, forked_at, base: None };
        restore(Files { state: &state, ..saved.files() }, &expected).unwrap().state.standing
    };
    assert_eq!(resumed(Some(2)), standing, "its own checkpoint");
    assert_eq!(resumed(Some(4)), Standing::forked_at(4), "the checkpoint of the other run");
}

#[test]
fn frozen_layers_keep_every_bit_and_have_no_moments() {
    let plan = Plan { freeze_layers: 1, ..plan(vec![phase("main", 12)]) };
    let mut host = Host::default();
    let trained = weights::load(&process(&plan, &mut host, None).unwrap().unwrap()).unwrap();
    let initial = Transformer::init(&config(), plan.seed, &device::open("flex").unwrap()).to_named();
    for before in initial {
        let frozen = before.name.starts_with("model.embed_tokens.") || before.name.starts_with("model.layers.0.");
        assert_eq!(trained[&before.name] == before, frozen, "{}", before.name);
    }
    let moments = weights::load(&host.saved[0].optimizer).unwrap();
    let trained = |name: &String| name.starts_with("blocks.1.") || name.starts_with("final_norm.");
    assert!(moments.keys().all(trained), "{:?}", moments.keys());
    assert_pieces_equal_the_whole(&plan, &[3, 8]);
}

/// More layers freeze from phase to phase, and one phase trains them all again.
#[test]
fn a_phase_freezes_layers_and_the_next_one_may_train_them_again() {
    let frozen = |name, steps, freeze_layers| Phase { freeze_layers, ..phase(name, steps) };
    let plan = plan(vec![frozen("a", 5, None), frozen("b", 6, Some(1)), frozen("c", 5, Some(0))]);
    let mut host = Host::default();
    process(&plan, &mut host, None).unwrap();
    let ends: Vec<_> = host.saved.iter().filter(|saved| saved.permanent).collect();
    let weights: Vec<_> = ends.iter().map(|saved| weights::load(&saved.weights).unwrap()).collect();
    let changed = |from: usize, layer: &str| {
        let name = format!("model.layers.{layer}.mlp.up_proj.weight");
        weights[from][&name] != weights[from + 1][&name]
    };
    assert_eq!([changed(0, "0"), changed(0, "1"), changed(1, "0"), changed(1, "1")], [false, true, true, true]);
    let moments: Vec<usize> = ends.iter().map(|saved| weights::load(&saved.optimizer).unwrap().len()).collect();
    assert!(moments[1] < moments[0] && moments[2] == moments[0], "{moments:?}");
    for stops in [vec![5], vec![4, 6], vec![3, 5, 8, 11, 12]] {
        assert_pieces_equal_the_whole(&plan, &stops);
    }
}

/// The norm that clips covers only the parameters that are trained.
#[test]
fn gradients_above_frozen_layers_are_those_of_the_whole_model() {
    let gradients = |freeze_layers| {
        let plan = Plan { freeze_layers, ..plan(vec![phase("main", 1)]) };
        let samplers = samplers(&plan);
        let model = Transformer::init(&config(), 1, &device::open("flex").unwrap().autodiff());
        let mut trainer = Trainer::new(&plan, &samplers, model, settings(), "flex");
        let (background, rows) = (BackgroundJob::spawn("test").unwrap(), trainer.rows(0));
        let (mut sum, loss) = trainer.gradients(&background, &rows, &Host::default()).unwrap();
        let norm = sum.norm(&trainer.model).value();
        (loss.value().cross_entropy.to_bits(), norm, sum.named(&trainer.model))
    };
    let (whole_loss, whole_norm, whole) = gradients(0);
    let (loss, norm, above) = gradients(1);
    assert_eq!(loss, whole_loss);
    assert!(norm < whole_norm);
    let kept: Vec<_> =
        whole.into_iter().filter(|tensor| tensor.0.starts_with("blocks.1.") || tensor.0 == "final_norm").collect();
    assert!(above == kept && above.len() == 9, "{:?}", above.iter().map(|tensor| &tensor.0).collect::<Vec<_>>());
}

#[test]
fn it_learns() {
    let (rows, _) = in_pieces(&plan(vec![phase("main", 40)]), &[]);
    assert!(rows[39].loss < 0.8 * rows[0].loss, "{} -> {}", rows[0].loss, rows[39].loss);
}

/// P12: two micro-batches of 4 equal one of 8. Documents of different lengths make the number of counted targets
/// differ between the halves.
#[test]
fn accumulation_equals_one_large_batch() {
    let weights = |batch, accumulation| {
        let mut model_config = config();
        model_config.dropout = 0.0;
        let plan = Plan { batch, accumulation, z_loss: 0.01, ..plan(vec![phase("main", 5)]) };
        let device = device::open("flex").unwrap().autodiff();
        let samplers = samplers(&plan);
        let model = Transformer::init(&model_config, 5, &device);
        let mut host = Host::default();
        let trainer = Trainer::new(&plan, &samplers, model, settings(), "flex");
        let Ok(Finished::Complete { model, .. }) = trainer.run(&mut host) else { panic!("it completes") };
        (host.rows, model.to_named())
    };
    let ((split_rows, split), (joint_rows, joint)) = (weights(4, 2), weights(8, 1));
    for (split, joint) in split_rows.iter().zip(&joint_rows) {
        assert!((split.loss - joint.loss).abs() < 1e-5, "loss {} and {}", split.loss, joint.loss);
        assert!((split.z_loss.unwrap() - joint.z_loss.unwrap()).abs() < 1e-6, "{split:?} is not {joint:?}");
        assert!((split.grad_norm - joint.grad_norm).abs() < 1e-5);
    }
    for (split, joint) in split.iter().zip(&joint) {
        for (a, b) in split.data.iter().zip(&joint.data) {
            assert!((a - b).abs() < 1e-5, "{}: {a} and {b}", split.name);
        }
    }
}
