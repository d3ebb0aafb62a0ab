//! What a training measures of itself changes nothing, and is the same after any interruption.

use std::num::NonZeroU64;

use super::*;
use crate::inference::{GenerateOptions, generate};
use crate::training::{Best, Standing, StopWhen, Validation, WatchedWeights, Writing};

fn number(n: u64) -> NonZeroU64 {
    NonZeroU64::new(n).unwrap()
}

/// Validation every 3 steps, texts every 4, layers every 5.
fn watch() -> Watch {
    let documents: Vec<Vec<u32>> = (0..6).map(|d| (0..7).map(|t| 2 + (d * 11 + t) % 38).collect()).collect();
    let documents: Vec<&[u32]> = documents.iter().map(Vec::as_slice).collect();
    let stream = TokenStream::new(vec![shard(&documents)]).unwrap();
    let validation = Validation::new(&stream, 8, number(24), number(3), |_| 2).unwrap();
    Watch {
        validation: Some(Arc::new(validation)),
        stop_when: None,
        writing: Some(Writing { every: number(4), writer: Arc::new(|model| Ok(write(model))) }),
        layers_every: Some(number(5)),
        weights: WatchedWeights::Trained,
    }
}

fn write(model: &Transformer) -> Vec<SampleText> {
    let options = GenerateOptions { max_new_tokens: 6, temperature: 1.0, seed: 5, ..GenerateOptions::default() };
    let tokens = generate(model, &[0, 7], &options, 1);
    vec![SampleText { prompt: "7".to_owned(), text: format!("{tokens:?}") }]
}

/// Everything that one or more processes recorded.
#[derive(PartialEq, Debug)]
struct Record {
    rows: Vec<[u64; 6]>,
    measured: BTreeMap<(u64, String), u64>,
    texts: BTreeMap<u64, Vec<SampleText>>,
    weights: Vec<u8>,
}

/// Runs with a stop or a crash after each of `ends`, then to the end. Keeps records as the database does: a resumed
/// training voids those after its checkpoint.
fn run(plan: &Plan, watch: &Watch, ends: &[(u64, bool)]) -> (Record, Vec<Saved>) {
    let (mut rows, mut measured, mut texts) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    let mut checkpoints: Vec<Saved> = Vec::new();
    let mut ends = ends.iter();
    loop {
        let mut host = Host { watch: watch.clone(), ..Host::default() };
        match ends.next() {
            Some((step, true)) => host.crash_after = Some(*step),
            Some((step, false)) => host.stop_after = Some(*step),
            None => {}
        }
        let resumed_at = checkpoints.last().map_or(0, |saved| saved.step);
        rows.retain(|row: &MetricRow| row.train_step <= resumed_at);
        measured.retain(|(step, _): &(u64, String), _| *step <= resumed_at);
        texts.retain(|step, _| *step <= resumed_at);
        // A host counts from its own rows, so it gets the last one.
        host.rows.extend(rows.last().cloned());
        let handed = host.rows.len();
        let ended = process(plan, &mut host, checkpoints.last());
        rows.extend(host.rows.drain(handed..));
        // A measurement that the checkpoint holds is never repeated, even with the same bits.
        let seen = checkpoints.last().map_or(0, |saved| standing_of(saved).seen);
        for (step, name, bits) in host.measured {
            assert!(step > seen, "{name} of step {step} again");
            assert_eq!(measured.insert((step, name.clone()), bits).filter(|old| *old != bits), None, "{name} {step}");
        }
        assert!(host.texts.iter().all(|(step, _)| *step > seen), "texts again: {:?}", host.texts);
        texts.extend(host.texts);
        checkpoints.extend(host.saved);
        match ended {
            Ok(Some(weights)) => {
                return (Record { rows: comparable(&rows), measured, texts, weights }, checkpoints);
            }
            Ok(None) | Err(HostError::Crash) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// The rows and checkpoints of a training with validations.
pub fn run_with(plan: &Plan, ends: &[(u64, bool)]) -> (Vec<[u64; 6]>, Vec<Saved>) {
    let (record, checkpoints) = run(plan, &Watch { writing: None, layers_every: None, ..watch() }, ends);
    (record.rows, checkpoints)
}

fn standing_of(saved: &Saved) -> Standing {
    serde_json::from_slice::<TrainState>(&saved.state).unwrap().standing
}

fn best_of(saved: &Saved) -> Option<Best> {
    standing_of(saved).best
}

#[test]
fn what_is_trained_does_not_change_by_a_bit() {
    for plan in [plan(vec![phase("main", 12)]), Plan { z_loss: 0.01, ..plan(vec![phase("a", 5), phase("b", 7)]) }] {
        let (plain, _) = run(&plan, &Watch::default(), &[]);
        let (watched, checkpoints) = run(&plan, &watch(), &[]);
        assert!(plain.measured.is_empty() && plain.texts.is_empty());
        assert_eq!(watched.rows, plain.rows);
        assert!(watched.weights == plain.weights, "the weights are the same");
        let steps = |name: &str| -> Vec<u64> {
            watched.measured.keys().filter(|(_, found)| found == name).map(|(step, _)| *step).collect()
        };
        assert_eq!(steps("val_loss"), [3, 6, 9, 12]);
        assert_eq!(steps("val_bits_per_byte"), [3, 6, 9, 12]);
        assert_eq!(steps("grad_norm/layer.1"), [5, 10]);
        assert_eq!(steps("update_ratio/embedding"), [5, 10]);
        assert_eq!(watched.texts.keys().copied().collect::<Vec<_>>(), [4, 8, 12]);
        let (_, bare) = run(&plan, &Watch::default(), &[]);
        let last = checkpoints.last().unwrap();
        assert!(last.optimizer == bare.last().unwrap().optimizer, "and so is the optimizer");
    }
}

/// The numbers of layers make up those of the whole.
#[test]
fn layers_add_up_to_the_global_norm() {
    let plan = plan(vec![phase("main", 5)]);
    let (record, _) = run(&plan, &watch(), &[]);
    let of = |kind: &str| -> Vec<f64> {
        let named = record.measured.iter().filter(|((_, name), _)| name.starts_with(kind));
        named.map(|(_, bits)| f64::from_bits(*bits)).collect()
    };
    let norm = of("grad_norm/").iter().map(|norm| norm * norm).sum::<f64>().sqrt();
    let expected = f64::from_bits(record.rows[4][4]);
    assert!((norm / expected - 1.0).abs() < 1e-9, "{norm} is not {expected}");
    let ratios = of("update_ratio/");
    assert!(ratios.len() == 4 && ratios.iter().all(|ratio| *ratio > 1e-5 && *ratio < 0.5), "{ratios:?}");
    let frozen = Plan { freeze_layers: 1, ..plan };
    let (record, _) = run(&frozen, &watch(), &[]);
    let names: Vec<&str> = record.measured.keys().map(|(_, name)| name.as_str()).collect();
    assert!(names.contains(&"update_ratio/layer.1"), "{names:?}");
    assert!(!names.iter().any(|name| name.ends_with("/layer.0") || name.ends_with("/embedding")), "{names:?}");
}

/// Stops and crashes on and beside the steps with looks; checkpoints are every 4 steps, and at the best ones.
#[test]
fn any_interruption_gives_the_same_record() {
    let plan = plan(vec![phase("main", 13)]);
    let (whole, _) = run(&plan, &watch(), &[]);
    for ends in [
        vec![(3, false)],
        vec![(4, false), (8, false)],
        vec![(3, true), (6, true), (7, true)],
        vec![(5, true), (9, false), (12, true)],
        (1..13).map(|step| (step, false)).collect(),
    ] {
        assert_eq!(run(&plan, &watch(), &ends).0, whole, "{ends:?}");
    }
}

/// The host asks to stop while a text is written. The next process writes it, and takes the step for the best.
#[test]
fn a_look_that_is_cut_short_is_left_to_the_next_process() {
    let plan = plan(vec![phase("main", 4)]);
    let (whole, _) = run(&plan, &Watch { writing: None, ..watch() }, &[]);
    let slow = Writing {
        every: number(3),
        writer: Arc::new(|model| {
            std::thread::sleep(Duration::from_millis(400));
            Ok(write(model))
        }),
    };
    let watch = Watch { writing: Some(slow), ..watch() };
    let mut first = Host { stop_after: Some(3), watch: watch.clone(), ..Host::default() };
    assert_eq!(process(&plan, &mut first, None), Ok(None));
    assert_eq!((first.measured.len(), first.texts.len()), (0, 0));
    let saved = first.saved.pop().unwrap();
    assert_eq!((saved.step, best_of(&saved)), (3, None));
    let mut next = Host { watch, ..Host::default() };
    let weights = process(&plan, &mut next, Some(&saved)).unwrap().unwrap();
    assert_eq!(next.texts.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [3, 4]);
    let measured: BTreeMap<(u64, String), u64> =
        next.measured.into_iter().map(|(step, name, bits)| ((step, name), bits)).collect();
    assert_eq!(measured, whole.measured);
    assert!(weights == whole.weights);
    assert_eq!(best_of(&next.saved[0]).map(|best| best.step), Some(3));
    assert_eq!(next.saved[0].step, 3);
}

/// A rate that is far too high makes the loss on held-out text rise after its first values.
#[test]
fn the_rule_for_an_early_end_is_exact_over_interruptions() {
    let plan = Plan { learning_rate: 0.3, ..plan(vec![phase("main", 60)]) };
    let watch = Watch { stop_when: Some(StopWhen { no_improvement: number(2) }), ..watch() };
    let (whole, checkpoints) = run(&plan, &watch, &[]);
    let end = checkpoints.last().unwrap();
    assert!(end.step < 60 && end.permanent, "ended at {}", end.step);
    let best = best_of(end).unwrap();
    let losses: Vec<(u64, f64)> = whole
        .measured
        .iter()
        .filter(|((_, name), _)| name == "val_loss")
        .map(|((step, _), bits)| (*step, f64::from_bits(*bits)))
        .collect();
    assert_eq!(losses.last().unwrap().0, best.step + 6, "two validations after the best: {losses:?}");
    assert!(losses.iter().all(|(_, loss)| *loss >= f64::from(best.loss)), "{losses:?} {best:?}");
    assert!(checkpoints.iter().any(|saved| saved.step == best.step), "the best is saved");
    for ends in [vec![(best.step + 2, false), (best.step + 4, true)], vec![(end.step, true)], vec![(end.step, false)]] {
        let (record, saved) = run(&plan, &watch, &ends);
        assert_eq!(record, whole, "{ends:?}");
        assert_eq!(saved.last().unwrap().step, end.step);
    }
}
