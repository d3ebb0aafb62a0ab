//! Every feature resumes exactly: 100 steps in one piece, in two and in three have the same bits, across the ends of
//! epochs and a change of phase.

use super::*;
use crate::model::scales;
use crate::optim::{AdafactorConfig, ParameterGroup};
use crate::training::WatchedWeights;
use crate::training::guard::GuardRule;
use crate::training::phase::Part;

/// A training with one feature.
struct Case {
    name: &'static str,
    plan: Plan,
    settings: OptimizerConfig,
    config: ModelConfig,
    token_weights: Vec<TokenWeights>,
    weights: WatchedWeights,
}

impl Case {
    fn new(name: &'static str, change: impl FnOnce(&mut Case)) -> Case {
        let plan = plan(vec![phase("a", 40), phase("b", 60)]);
        let (token_weights, weights) = (Vec::new(), WatchedWeights::Trained);
        let mut case = Case { name, plan, settings: settings(), config: config(), token_weights, weights };
        change(&mut case);
        case.plan.validate().unwrap();
        case.config.validate().unwrap();
        case
    }

    /// Trains with a stop at each of `stops`. Returns the rows, the weights, and the files of the last checkpoint.
    fn train(&self, stops: &[u64]) -> (Vec<[u64; 6]>, Vec<u8>, Saved) {
        let device = device::open("flex").unwrap().autodiff();
        let samplers = samplers(&self.plan);
        let (mut rows, mut saved): (Vec<MetricRow>, Option<Saved>) = (Vec::new(), None);
        for stop in stops.iter().copied().map(Some).chain([None]) {
            let mut host = Host { stop_after: stop, ..Host::default() };
            // A host counts from its own rows, so it gets the last one.
            host.rows.extend(rows.last().cloned());
            let handed = host.rows.len();
            let trainer = match &saved {
                None => {
                    let model = Transformer::init(&self.config, self.plan.seed, &device);
                    Trainer::new(&self.plan, &samplers, model, self.settings.clone(), "flex")
                }
                Some(saved) => {
                    let optimizer = self.settings.clone();
                    let (model, plan) = (&self.config, &self.plan);
                    let expected = Expected { model, optimizer, plan, device: &device, forked_at: None, base: None };
                    let restored = restore(saved.files(), &expected).unwrap();
                    assert_eq!(Some(restored.state.step), rows.last().map(|row| row.train_step), "{}", self.name);
                    Trainer::resumed(plan, &samplers, restored, self.settings.clone(), "flex")
                }
            };
            let watch = Watch { weights: self.weights, ..Watch::default() };
            let trainer = match self.token_weights.as_slice() {
                [] => trainer,
                tables => trainer.weighing(tables.to_vec()),
            };
            let finished = trainer.watching(watch).run(&mut host).unwrap();
            rows.extend(host.rows.drain(handed..));
            saved = host.saved.pop();
            if let Finished::Complete { model, .. } = finished {
                return (comparable(&rows), weights::save(model.shared()), saved.unwrap());
            }
        }
        panic!("the last process completes")
    }
}

fn cases() -> Vec<Case> {
    let group = |parameters: &str, lr_scale, weight_decay| ParameterGroup {
        parameters: parameters.to_owned(),
        lr_scale,
        weight_decay,
    };
    let part = |first, steps, context| {
        let part = Some(Part { first, of: 60 });
        Phase { part, ..Phase::new("b", steps, context) }
    };
    let rare: Arc<[f32]> = (0..40).map(|token| if token % 7 == 0 { 3.0 } else { 1.0 }).collect();
    vec![
        Case::new("nothing", |_| ()),
        Case::new("points", |case| {
            case.plan.schedule = Schedule::through(vec![(0, 0.0), (10, 1.0), (45, 0.3), (100, 0.1)]);
        }),
        Case::new("linear", |case| case.plan.schedule.kind = ScheduleKind::Linear),
        Case::new("ema", |case| {
            case.plan.ema = Some(0.95);
            case.weights = WatchedWeights::Average;
        }),
        Case::new("groups", |case| {
            case.settings.groups = vec![group("embedding", 0.3, Some(0.0)), group("*norm", 2.0, Some(0.01))];
        }),
        Case::new("muon with groups", |case| {
            case.settings = OptimizerConfig { groups: vec![group("*.ffn_*", 0.5, Some(0.3))], ..muon() };
        }),
        Case::new("adafactor", |case| case.settings.adafactor = Some(AdafactorConfig::default())),
        Case::new("adafactor, scaled", |case| {
            let default = AdafactorConfig::default();
            case.settings.adafactor = Some(AdafactorConfig { scale_parameter: true, ..default });
        }),
        Case::new("soft cap and z-loss", |case| {
            case.config.logit_softcap = 2.0;
            case.plan.z_loss = 0.01;
        }),
        Case::new("zero out", |case| case.config.init = Init::ZeroOut),
        Case::new("plain", |case| case.config.init = Init::Plain),
        Case::new("completep", |case| case.config.init = Init::Completep { base_width: 8, base_layers: 1 }),
        Case::new("loss weights", |case| case.token_weights = vec![None, Some(Arc::clone(&rare))]),
        Case::new("batch ramp", |case| case.plan.batch_ramp = vec![(0, 16), (30, 32), (70, 64)]),
        Case::new("context ramp", |case| case.plan.phases = vec![phase("a", 40), part(0, 20, 4), part(20, 40, 8)]),
        Case::new("freeze ramp", |case| case.plan.freeze_ramp = vec![(0.0, 0), (0.45, 1), (0.8, 0)]),
        Case::new("freeze and ema", |case| {
            case.plan.phases[1].freeze_ramp = vec![(0.0, 0), (0.5, 1)];
            case.plan.ema = Some(0.9);
        }),
        Case::new("guard and batch ramp", |case| {
            let rule = GuardRule { z_score: 3.0, window: 5, patience: 1000, cut: 0.9, rewinds: 0 };
            case.plan.guard = Some(rule);
            case.plan.batch_ramp = vec![(0, 16), (50, 32)];
            case.plan.ema = Some(0.9);
        }),
    ]
}

#[test]
fn every_feature_trains_the_same_in_one_piece_in_two_and_in_three() {
    let mut seen: BTreeMap<Vec<u8>, &str> = BTreeMap::new();
    for case in cases() {
        let name = case.name;
        let (rows, weights, last) = case.train(&[]);
        assert_eq!((rows.len(), last.step, last.permanent), (100, 100, true), "{name}");
        for stops in [[50].as_slice(), &[33, 66]] {
            let (pieces, resumed, saved) = case.train(stops);
            assert_eq!(pieces, rows, "rows of `{name}` with stops at {stops:?}");
            assert!(resumed == weights, "weights of `{name}` with stops at {stops:?}");
            assert!(saved == last, "last checkpoint of `{name}` with stops at {stops:?}");
        }
        assert_eq!(seen.insert(weights, name), None, "`{name}` changes something");
    }
}

/// A phase whose validations no longer improve ends early, in one piece as in several; the next one follows.
#[test]
fn a_phase_ends_early_and_the_next_one_starts() {
    let no_improvement = std::num::NonZeroU64::new(2);
    let mut first = Phase { no_improvement, ..phase("a", 60) };
    // So high a rate that the loss on held-out text rises.
    first.learning_rate = Some(0.5);
    let plan = Plan { checkpoint_every: Some(100), ..plan(vec![first, phase("b", 20)]) };
    let ends = |stops: &[(u64, bool)]| watch::run_with(&plan, stops);
    let (whole, checkpoints) = ends(&[]);
    let first = checkpoints.iter().find(|saved| saved.permanent).unwrap();
    assert_eq!(first.step, 60, "it counts as the whole phase");
    let state = TrainState::from_file(&first.state).unwrap();
    let [left] = state.guarded.left.as_slice() else { panic!("{:?}", state.guarded.left) };
    assert!(left.from < 60 && left.to == 60 && left.from.is_multiple_of(3), "{left:?}");
    assert_eq!(state.tokens, plan.tokens(left.from));
    assert_eq!(whole.len() as u64, left.from + 20, "rows of the steps that were taken");
    for stops in [vec![(left.from - 1, false)], vec![(left.from, false)], vec![(4, true), (65, false)]] {
        let (rows, pieces) = ends(&stops);
        assert_eq!(rows, whole, "{stops:?}");
        assert!(pieces.last().unwrap().weights == checkpoints.last().unwrap().weights, "{stops:?}");
        assert!(pieces.last().unwrap().optimizer == checkpoints.last().unwrap().optimizer, "{stops:?}");
    }
}

/// Without a feature, its fields are not in the file.
#[test]
fn a_training_without_features_has_the_files_that_it_always_had() {
    let (_, _, plain) = Case::new("nothing", |_| ()).train(&[]);
    let state = String::from_utf8(plain.state).unwrap();
    for absent in ["points", "ema", "ramp", "groups", "adafactor", "softcap", "\"init\"", "loss_weights", "part"] {
        assert!(!state.contains(absent), "`{absent}` is in {state}");
    }
    assert!(plain.ema.is_none());
}

/// The average is part of a checkpoint: without it, a resume is refused; a fork starts it again.
#[test]
fn an_average_that_is_missing_is_an_error_but_in_a_fork() {
    let case = Case::new("ema", |case| case.plan.ema = Some(0.9));
    let (_, _, saved) = case.train(&[]);
    let device = device::open("flex").unwrap().autodiff();
    let restored = |files: Files<'_>, forked_at| {
        let (model, plan) = (&case.config, &case.plan);
        let expected = Expected { model, optimizer: settings(), plan, device: &device, forked_at, base: None };
        restore(files, &expected).map(|restored| restored.ema.map(|ema| ema.shared().len()))
    };
    let without = Files { ema: None, ..saved.files() };
    assert!(matches!(restored(without, None), Err(CheckpointError::NoEma)));
    assert_eq!(restored(without, Some(100)).unwrap(), Some(0));
    assert!(restored(saved.files(), None).unwrap().is_some_and(|tensors| tensors > 0));
    let torn = &saved.ema.as_ref().unwrap()[..100];
    assert!(matches!(restored(Files { ema: Some(torn), ..saved.files() }, None), Err(CheckpointError::Ema(_))));
}

/// Rare tokens weigh more: the loss is the weighted mean of the losses.
#[test]
fn weights_of_tokens_change_the_loss_as_a_weighted_mean() {
    let plain = Case::new("plain", |case| case.config.dropout = 0.0);
    let table: Arc<[f32]> = (0..40).map(|token| if token < 20 { 0.0 } else { 2.0 }).collect();
    let weighted = Case::new("weighted", |case| {
        case.config.dropout = 0.0;
        case.token_weights = vec![Some(Arc::clone(&table)); 2];
    });
    let device = device::open("flex").unwrap();
    let samplers = samplers(&plain.plan);
    let rows = samplers[0].rows(0, 4);
    let model = Transformer::init(&plain.config, plain.plan.seed, &device);
    let (mut sum, mut total) = (0.0, 0.0);
    for row in &rows {
        let (seq, dropout_seed) = (row.ids.len(), None);
        let (ids, targets, starts) = (row.ids.clone(), row.targets.clone(), row.starts.clone());
        let nats = model.token_nll(&Batch { ids, targets, starts, batch: 1, seq, dropout_seed });
        for (nats, target) in nats.into_data().iter::<f32>().zip(&row.targets) {
            let weight = usize::try_from(*target).map_or(0.0, |token| f64::from(table[token]));
            sum += weight * f64::from(nats);
            total += weight;
        }
    }
    let first = |case: &Case| f64::from_bits(case.train(&[]).0[0][1]);
    assert!((first(&weighted) - sum / total).abs() < 1e-5, "{} is not {}", first(&weighted), sum / total);
    assert!((first(&plain) - first(&weighted)).abs() > 1e-4);
}

/// The paths that groups are checked against are those of the module.
#[test]
fn parameter_paths_are_those_of_the_module() {
    for config in [config(), ModelConfig { qk_norm: false, ..config() }] {
        let model = Transformer::init(&config, 1, &device::open("flex").unwrap().autodiff());
        let batch =
            Batch { ids: vec![3; 8], targets: vec![5; 8], starts: vec![0; 8], batch: 1, seq: 8, dropout_seed: None };
        let mut sum = GradientSum::default();
        sum.add(model.loss(&batch, Objective::cross_entropy(8.0)).backward(), &model);
        let paths: Vec<String> = sum.named(&model).into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, scales::parameter_paths(&config));
    }
}

/// Frozen tensors keep every bit while a ramp freezes them.
#[test]
fn a_freeze_ramp_keeps_the_bits_of_frozen_layers() {
    let case = Case::new("freeze", |case| {
        case.plan.freeze_ramp = vec![(0.0, 0), (0.4, 1)];
        case.plan.checkpoint_every = Some(20);
    });
    let device = device::open("flex").unwrap().autodiff();
    let samplers = samplers(&case.plan);
    let model = Transformer::init(&case.config, case.plan.seed, &device);
    let mut host = Host::default();
    Trainer::new(&case.plan, &samplers, model, settings(), "flex").run(&mut host).unwrap();
    let weights: BTreeMap<u64, _> =
        host.saved.iter().map(|saved| (saved.step, weights::load(&saved.weights).unwrap())).collect();
    for name in weights[&40].keys() {
        let frozen = name.starts_with("model.embed_tokens.") || name.starts_with("model.layers.0.");
        assert_eq!(weights[&40][name] == weights[&100][name], frozen, "{name}");
        assert!(weights[&20][name] != weights[&40][name], "{name} was trained before");
    }
}
