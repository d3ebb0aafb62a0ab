//! What a training measures of itself, through whole attempts.

use std::collections::BTreeMap;

use super::*;
use stepwell_base::protocol::{Measurement, Samples, SeriesChange};
use stepwell_train::model::weights;

/// Validation every 3 steps, texts every 5, layers every 4.
fn watched(lab: &TrainingLab, change: Value) -> Value {
    let mut with = lab.train_arguments(json!({
        "validation": lab.validation, "validation_every": 3, "validation_tokens": 100,
        "sample_every": 5, "prompts": ["The cat", ""], "sample_tokens": 6, "layer_stats_every": 4,
    }));
    with.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    with
}

/// Numbers by step and name as bits, and texts by step, as the database keeps them.
type Series = (BTreeMap<(u64, String), u64>, BTreeMap<u64, Samples>);

fn series(recorder: &Recorder) -> Series {
    let (mut numbers, mut texts) = (BTreeMap::new(), BTreeMap::new());
    for change in &recorder.series {
        match change.clone() {
            SeriesChange::Add(Measurement { train_step, values }) => {
                numbers.extend(values.into_iter().map(|(name, value)| ((train_step, name), value.to_bits())));
            }
            SeriesChange::Samples(samples) => drop(texts.insert(samples.train_step, samples)),
            SeriesChange::Void { .. } => panic!("a training voids nothing so"),
        }
    }
    (numbers, texts)
}

fn number(outputs: &Outputs, name: &str) -> f64 {
    outputs.values[name].as_f64().unwrap()
}

#[test]
fn validation_and_texts_do_not_change_the_model() {
    let lab = TrainingLab::new();
    let (plain, rows) = whole(&lab, &lab.train_arguments(json!({})));
    let mut recorder = Recorder::default();
    let outputs = lab.attempt(&TRAIN, watched(&lab, json!({})), &mut recorder).unwrap();
    assert_eq!(outputs.artifacts["model"], plain.artifacts["model"]);
    assert_eq!(comparable(&recorder.metrics), comparable(&rows));
    assert_eq!(plain.artifacts["best"], plain.artifacts["model"]);
    assert_eq!((&plain.values["val_loss"], &plain.values["best_step"]), (&Value::Null, &Value::Null));

    let (numbers, texts) = series(&recorder);
    let steps = |name: &str| numbers.keys().filter(|key| key.1 == name).map(|key| key.0).collect::<Vec<_>>();
    assert_eq!(steps("val_loss"), [3, 6, 9, 12]);
    assert_eq!(steps("grad_norm/layer.0"), [4, 8, 12]);
    assert_eq!(texts.keys().copied().collect::<Vec<_>>(), [5, 10, 12]);
    let prompts: Vec<&str> = texts[&5].texts.iter().map(|text| text.prompt.as_str()).collect();
    assert_eq!(prompts, ["The cat", ""]);
    let last = f64::from_bits(numbers[&(12, "val_loss".to_owned())]);
    assert!((number(&outputs, "val_loss") - last).abs() < 1e-6);
    assert!(recorder.metrics.iter().all(|row| row.data_wait_seconds.is_some()));
    if cfg!(target_os = "linux") {
        assert!(recorder.metrics.iter().all(|row| row.memory_bytes.is_some()));
    }

    // The rows of the file have the same numbers.
    let text = fs::read_to_string(lab.step_directory().join("metrics.jsonl")).unwrap();
    let file: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(file.len(), 12);
    for ((step, name), bits) in &numbers {
        let found = file[*step as usize - 1][name].as_f64().unwrap();
        assert!((found / f64::from_bits(*bits) - 1.0).abs() < 1e-12, "{name} of step {step}");
    }
}

#[test]
fn interruptions_leave_no_trace_in_validation_and_texts() {
    let lab = TrainingLab::new();
    let with = watched(&lab, json!({}));
    let mut recorder = Recorder::default();
    let outputs = lab.attempt(&TRAIN, with.clone(), &mut recorder).unwrap();
    let (whole, file) = (series(&recorder), file_numbers(&lab));
    for (stop_after, die_at) in [(Some(3), None), (None, Some(7)), (Some(5), None), (None, Some(10)), (Some(9), None)] {
        let mut recorder = Recorder { stop_after, die_at, ..Recorder::default() };
        interrupted(&lab, &with, &mut recorder);
        assert_eq!(resumed(&lab, &with, &mut recorder), outputs, "stop {stop_after:?} die {die_at:?}");
        assert_eq!(series(&recorder), whole, "stop {stop_after:?} die {die_at:?}");
        assert_eq!(file_numbers(&lab), file, "stop {stop_after:?} die {die_at:?}");
    }
}

/// Names and numbers of `metrics.jsonl` without timings.
fn file_numbers(lab: &TrainingLab) -> Vec<Value> {
    let text = fs::read_to_string(lab.step_directory().join("metrics.jsonl")).unwrap();
    let row = |line: &str| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        for name in ["tokens_per_second", "data_wait_seconds", "memory_bytes", "mfu"] {
            row.as_object_mut().unwrap().remove(name);
        }
        row
    };
    text.lines().map(row).collect()
}

/// With a rate far too high the loss on held-out text rises: the best state is an early one.
#[test]
fn the_best_state_is_an_output_and_may_be_the_model() {
    let lab = TrainingLab::new();
    let rate = json!({"steps": 60, "optimizer": {"learning_rate": 1.0}, "stop_when": {"no_improvement": 3}});
    let with = watched(&lab, rate.clone());
    let mut recorder = Recorder::default();
    let outputs = lab.attempt(&TRAIN, with.clone(), &mut recorder).unwrap();
    let (best, steps) = (number(&outputs, "best_step") as u64, number(&outputs, "steps") as u64);
    assert_eq!(steps, best + 9, "three validations after the best: {:?}", outputs.values);
    assert!(number(&outputs, "best_val_loss") < number(&outputs, "val_loss"));
    let marked: Vec<u64> =
        recorder.checkpoints.iter().filter(|saved| saved.best).filter_map(|saved| saved.last_step).collect();
    assert_eq!(marked.last(), Some(&best));
    let last = recorder.checkpoints.last().unwrap();
    assert!(last.last_step == Some(steps) && last.permanent && last.val_loss.is_some());
    let weights_of = |name: &str| {
        let tree = lab.artifacts.read_tree(&outputs.artifacts[name]).unwrap();
        weights::load(&lab.artifacts.read(&tree.entries["model.safetensors"]).unwrap()).unwrap()
    };
    let saved = recorder.checkpoints.iter().find(|saved| saved.last_step == Some(best)).unwrap();
    let expected = lab.artifacts.read(&file_of(&lab, saved, "weights.safetensors")).unwrap();
    assert!(weights_of("best") == weights::load(&expected).unwrap());
    assert!(weights_of("best") != weights_of("model"));

    let mut asked = rate;
    asked["output"] = json!("best");
    let with = watched(&lab, asked);
    let mut recorder = Recorder { die_at: Some(best + 4), commits_before_death: 1, ..Recorder::default() };
    interrupted(&lab, &with, &mut recorder);
    let again = resumed(&lab, &with, &mut recorder);
    assert_eq!(again.artifacts["model"], outputs.artifacts["best"]);
    assert_eq!(again.values, outputs.values);
    // So high a rate is worth a warning, and nothing else is.
    assert!(recorder.notes.iter().all(|note| note.contains("where 0.1 % is usual")), "{:?}", recorder.notes);
}

#[test]
fn what_cannot_be_watched_is_refused_before_anything_is_written() {
    let lab = TrainingLab::new();
    let message = |change: Value| failure(&lab, change).message;
    assert!(message(json!({"stop_when": {"no_improvement": 2}})).contains("`stop_when` needs `validation`"));
    assert!(message(json!({"validation": lab.tokenizer})).starts_with("`validation`: "));
    assert!(message(json!({"validation_tokens": 0})).contains("nonzero"));
}
