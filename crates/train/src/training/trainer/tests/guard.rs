//! The guard in the loop: what it does, and that a training in pieces does the same.

use super::*;
use crate::training::guard::{GuardRule, Verdict};

/// So strict that the noise of a few samples is suspect.
const STRICT: GuardRule = GuardRule { z_score: 1.0, window: 3, patience: 1, cut: 0.75, rewinds: 50 };

/// A training with its checkpoints and rows, over processes.
#[derive(Default)]
struct Training {
    saved: Vec<Saved>,
    rows: BTreeMap<u64, MetricRow>,
    decisions: BTreeMap<u64, Verdict>,
    rewinds: Vec<Rewind>,
}

impl Training {
    /// Runs one process, up to `stop_after` rows of steps. Returns the weights of a complete training.
    fn process(&mut self, plan: &Plan, stop_after: Option<u64>) -> Result<Option<Vec<u8>>, HostError> {
        let device = device::open("flex").unwrap().autodiff();
        let (config, samplers) = (config(), samplers(plan));
        let mut now: Option<(Rewind, Guarded)> = None;
        loop {
            let expected =
                Expected { model: &config, optimizer: settings(), plan, device: &device, forked_at: None, base: None };
            let restored = self.saved.last().map(|saved| restore(saved.files(), &expected).unwrap());
            let of_checkpoint =
                restored.as_ref().map_or_else(Guarded::default, |restored| restored.state.guarded.clone());
            let trainer = match restored {
                Some(restored) => Trainer::resumed(plan, &samplers, restored, settings(), "flex"),
                None => {
                    Trainer::new(plan, &samplers, Transformer::init(&config, plan.seed, &device), settings(), "flex")
                }
            };
            let trainer = match now.take() {
                Some((rewind, guarded)) => trainer.guarded(of_checkpoint.rewound(&guarded, rewind)),
                None => trainer,
            };
            let mut host = Guarding { host: Host { stop_after, ..Host::default() }, decisions: BTreeMap::new() };
            let ended = trainer.run(&mut host);
            host.host.saved.drain(..).for_each(|saved| self.commit(saved));
            self.rows.extend(host.host.rows.into_iter().map(|row| (row.train_step, row)));
            self.decisions.append(&mut host.decisions);
            match ended? {
                Finished::Complete { model, .. } => return Ok(Some(weights::save(model.shared()))),
                Finished::Stopped => return Ok(None),
                Finished::Rewound { rewind, guarded } => {
                    self.saved.retain(|saved| saved.step <= rewind.to);
                    assert_eq!(
                        self.saved.last().map_or(0, |saved| saved.step),
                        rewind.to,
                        "it goes back to a checkpoint"
                    );
                    self.rows.retain(|step, _| *step <= rewind.to);
                    self.decisions.retain(|step, _| *step <= rewind.to);
                    self.rewinds.push(rewind);
                    now = Some((rewind, guarded));
                }
            }
        }
    }

    /// Keeps as many checkpoints as asked for, and those at the end of a phase.
    fn commit(&mut self, saved: Saved) {
        let newest = 1 + saved.extra as usize;
        self.saved.push(saved);
        let count = self.saved.len();
        let mut number = 0;
        self.saved.retain(|saved| {
            number += 1;
            saved.permanent || number + newest > count
        });
    }

    fn comparable(&self) -> (Vec<[u64; 6]>, Vec<(u64, Verdict)>) {
        let rows: Vec<MetricRow> = self.rows.values().cloned().collect();
        (comparable(&rows), self.decisions.iter().map(|(step, verdict)| (*step, *verdict)).collect())
    }
}

/// Records decisions as well.
struct Guarding {
    host: Host,
    decisions: BTreeMap<u64, Verdict>,
}

impl TrainingHost for Guarding {
    type Error = HostError;

    fn step_done(&mut self, row: MetricRow) -> Result<(), HostError> {
        self.host.step_done(row)
    }
    fn guarded(&mut self, train_step: u64, verdict: Verdict, _: f64) -> Result<(), HostError> {
        self.decisions.insert(train_step, verdict);
        Ok(())
    }
    fn save(&mut self, snapshot: Snapshot) -> Result<(), HostError> {
        self.host.save(snapshot)
    }
    fn settle(&mut self) -> Result<(), HostError> {
        self.host.settle()
    }
    fn writing_cost(&self) -> Option<Duration> {
        self.host.writing_cost()
    }
    fn stop_requested(&self) -> bool {
        self.host.stop_requested()
    }
}

fn strict() -> Plan {
    Plan { guard: Some(STRICT), ..plan(vec![phase("a", 14), phase("b", 16)]) }
}

#[test]
fn pieces_make_the_decisions_of_the_whole() {
    let plan = strict();
    let mut whole = Training::default();
    let weights = whole.process(&plan, None).unwrap();
    let (_, decisions) = whole.comparable();
    for wanted in [Verdict::Skip, Verdict::Cut] {
        assert!(decisions.iter().any(|(_, verdict)| *verdict == wanted), "{wanted:?} is not in {decisions:?}");
    }
    assert!(!whole.rewinds.is_empty());
    let cuts: Vec<f64> = whole
        .rows
        .values()
        .filter(|row| row.learning_rate > 0.0)
        .map(|row| (row.learning_rate / plan.learning_rate(row.train_step - 1)).ln() / STRICT.cut.ln())
        .collect();
    assert!(
        cuts.is_sorted_by(|a, b| *a < b + 1e-6) && cuts.iter().all(|cut| (cut - cut.round()).abs() < 1e-6),
        "{cuts:?}"
    );
    assert!(cuts[0] == 0.0 && *cuts.last().unwrap() > 0.5, "the rate stays low: {cuts:?}");
    let end_of_phase = whole.saved.iter().find(|saved| saved.step == 14).unwrap();
    let state: serde_json::Value = serde_json::from_slice(&end_of_phase.state).unwrap();
    assert_eq!(state["guarded"]["losses"], serde_json::json!([]), "the next phase has other data");
    for stops in [vec![3], vec![9, 10], vec![1, 5, 13, 14, 17, 22, 29]] {
        let mut pieces = Training::default();
        for stop in &stops {
            assert_eq!(pieces.process(&plan, Some(*stop)).unwrap(), None, "stop at {stop}");
        }
        let resumed = pieces.process(&plan, None).unwrap();
        assert_eq!(pieces.comparable(), whole.comparable(), "stops at {stops:?}");
        assert!(resumed == weights, "weights with stops at {stops:?}");
    }
}

#[test]
fn a_guard_that_sees_nothing_changes_nothing() {
    let guarded = Plan { guard: Some(GuardRule { z_score: 1000.0, ..STRICT }), ..strict() };
    let mut with = Training::default();
    let weights = with.process(&guarded, None).unwrap().unwrap();
    let (rows, plain) = in_pieces(&Plan { guard: None, ..guarded }, &[]);
    assert!(weights == plain);
    assert_eq!(with.comparable(), (comparable(&rows), Vec::new()));
}

/// The rate is so high that the weights are lost after the first step that is taken.
#[test]
fn a_training_that_always_diverges_ends_after_the_last_rewind() {
    let guard = Some(GuardRule { z_score: 6.0, rewinds: 2, cut: 1.0, ..STRICT });
    let plan = Plan { learning_rate: 1e38, clip: 0.0, guard, ..plan(vec![phase("main", 40)]) };
    let mut training = Training::default();
    let error = training.process(&plan, None).unwrap_err();
    assert!(matches!(error, HostError::Train(TrainError::GivenUp { rewinds: 2, .. })), "{error:?}");
    assert_eq!(training.rewinds.len(), 2);
    assert!(training.rows.values().all(|row| row.loss.is_finite() && row.grad_norm.is_finite()));
}

/// Samples between the checkpoint and the suspect step are left out, and nothing else changes.
#[test]
fn what_was_rewound_is_not_seen_again() {
    let plan = strict();
    let samplers = samplers(&plan);
    let device = device::open("flex").unwrap();
    let mut trainer = Trainer::new(&plan, &samplers, Transformer::init(&config(), 1, &device), settings(), "flex");
    trainer.guarded.rewinds = vec![Rewind { to: 4, from: 7 }, Rewind { to: 4, from: 6 }];
    assert_eq!(trainer.rows(4), samplers[0].rows(4 * (4 + 5), 4));
    assert_eq!(trainer.rows(14), samplers[1].rows(0, 4), "the next phase starts at its start");
    assert_eq!(trainer.state().cursor, plan.cursor(5));
}
