//! Runs whole attempts of the step against a recording engine. `train::training` and `train::data` test the resume
//! bugs below the step.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::TRAIN;
use crate::tests::{Recorder, TrainingLab};
use crate::{Misfit, StepError, StepHandler};
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_base::protocol::MetricRow;

mod watch;

fn comparable(rows: &[MetricRow]) -> Vec<(u64, u64, u64)> {
    rows.iter().map(|row| (row.train_step, row.loss.to_bits(), row.learning_rate.to_bits())).collect()
}

/// Reads the rows of `metrics.jsonl`. JSON may round their numbers, so compare with other rows that went through
/// JSON.
fn logged(lab: &TrainingLab) -> Vec<MetricRow> {
    let text = fs::read_to_string(lab.step_directory().join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn through_json(rows: &[MetricRow]) -> Vec<MetricRow> {
    rows.iter().map(|row| serde_json::from_str(&serde_json::to_string(row).unwrap()).unwrap()).collect()
}

fn whole(lab: &TrainingLab, with: &Value) -> (Outputs, Vec<MetricRow>) {
    let mut recorder = Recorder::default();
    let outputs = lab.attempt(&TRAIN, with.clone(), &mut recorder).unwrap();
    assert_eq!(logged(lab), through_json(&recorder.metrics));
    (outputs, recorder.metrics)
}

/// Runs an attempt that the recorder interrupts.
fn interrupted(lab: &TrainingLab, with: &Value, recorder: &mut Recorder) {
    let ended = lab.attempt(&TRAIN, with.clone(), recorder);
    assert!(matches!(ended, Err(StepError::Interrupted)), "{ended:?}");
}

/// Runs a later attempt, which succeeds.
fn resumed(lab: &TrainingLab, with: &Value, recorder: &mut Recorder) -> Outputs {
    (recorder.stop_after, recorder.die_at, recorder.hold_until) = (None, None, None);
    lab.attempt(&TRAIN, with.clone(), recorder).unwrap()
}

fn file_of(lab: &TrainingLab, checkpoint: &Checkpoint, name: &str) -> ArtifactRef {
    let tree = lab.artifacts.read_tree(checkpoint.artifact.as_ref().unwrap()).unwrap();
    tree.entries[name].clone()
}

/// Changes the bytes of an artifact. Artifacts are read-only, but a failing disk damages them all the same.
fn damage(lab: &TrainingLab, file: &ArtifactRef, change: impl Fn(&mut Vec<u8>)) {
    let path = lab.artifacts.blob_path(&file.digest);
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::remove_file(&path).unwrap();
    fs::write(&path, bytes).unwrap();
}

fn failure(lab: &TrainingLab, change: Value) -> Failure {
    match lab.attempt(&TRAIN, lab.train_arguments(change), &mut Recorder::default()) {
        Err(StepError::Failed(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn interruptions_leave_no_trace_in_outputs_and_metrics() {
    let lab = TrainingLab::new();
    let with = lab.train_arguments(json!({}));
    let (outputs, rows) = whole(&lab, &with);
    for (stop_after, die_at) in [(Some(5), None), (None, Some(7)), (Some(4), None), (None, Some(3))] {
        let mut recorder = Recorder { stop_after, die_at, ..Recorder::default() };
        interrupted(&lab, &with, &mut recorder);
        assert_eq!(resumed(&lab, &with, &mut recorder), outputs, "stop {stop_after:?} die {die_at:?}");
        assert_eq!(comparable(&recorder.metrics), comparable(&rows), "stop {stop_after:?} die {die_at:?}");
        assert_eq!(logged(&lab), through_json(&recorder.metrics));
        assert_eq!(recorder.progress.last().map(|progress| progress.done), Some(12));
    }
}

#[test]
fn sigterm_checkpoints_at_the_current_step() {
    let lab = TrainingLab::new();
    let with = lab.train_arguments(json!({}));
    let mut recorder = Recorder { stop_after: Some(6), ..Recorder::default() };
    interrupted(&lab, &with, &mut recorder);
    let steps: Vec<_> = recorder.checkpoints.iter().map(|checkpoint| checkpoint.last_step).collect();
    assert_eq!(steps, [Some(4), Some(6)]);
    let last = recorder.checkpoints.last().unwrap();
    assert_eq!((last.tokens_so_far, last.phase.as_deref()), (Some(6 * 4 * 12), Some("main")));
    assert_eq!(last.keep, Some(2));
    assert!(!last.permanent);
}

fn saved_steps(recorder: &Recorder) -> Vec<u64> {
    recorder.checkpoints.iter().filter_map(|checkpoint| checkpoint.last_step).collect()
}

/// The first checkpoint is committed only after six steps, which a training that waits for the commit never
/// reaches.
#[test]
fn training_goes_on_while_a_checkpoint_is_written() {
    let lab = TrainingLab::new();
    let with = lab.train_arguments(json!({}));
    let (outputs, rows) = whole(&lab, &with);
    let mut recorder = Recorder { hold_until: Some(6), ..Recorder::default() };
    assert_eq!(lab.attempt(&TRAIN, with, &mut recorder).unwrap(), outputs);
    assert_eq!(comparable(&recorder.metrics), comparable(&rows));
    assert_eq!(saved_steps(&recorder), [4, 8, 12]);
}

#[test]
fn the_end_and_an_interruption_wait_for_the_checkpoint() {
    let lab = TrainingLab::new();
    let with = lab.train_arguments(json!({}));
    for (stop_after, expected) in [(Some(4), [4].as_slice()), (Some(6), &[4, 6]), (None, &[4, 8, 12])] {
        let mut recorder = Recorder { stop_after, commit_takes: Duration::from_millis(200), ..Recorder::default() };
        let ended = lab.attempt(&TRAIN, with.clone(), &mut recorder);
        assert_eq!(ended.is_ok(), stop_after.is_none());
        assert_eq!(saved_steps(&recorder), expected);
    }
}

#[test]
fn a_kill_before_the_commit_goes_back_to_the_checkpoint_before() {
    let lab = TrainingLab::new();
    let with = lab.train_arguments(json!({}));
    let (outputs, rows) = whole(&lab, &with);
    let mut recorder = Recorder { die_at: Some(7), hold_until: Some(u64::MAX), ..Recorder::default() };
    interrupted(&lab, &with, &mut recorder);
    assert_eq!((recorder.metrics.len(), saved_steps(&recorder)), (7, vec![]));
    assert_eq!(resumed(&lab, &with, &mut recorder), outputs);
    assert_eq!(recorder.rewinds, [0, 0]);
    assert_eq!(comparable(&recorder.metrics), comparable(&rows));
    assert_eq!(logged(&lab), through_json(&recorder.metrics));
}

/// The rows of three steps after the checkpoint reach the database before the checkpoint does.
#[test]
fn a_late_commit_voids_the_rows_behind_it() {
    let lab = TrainingLab::new();
    let with = lab.train_arguments(json!({}));
    let (outputs, rows) = whole(&lab, &with);
    let mut recorder =
        Recorder { die_at: Some(7), hold_until: Some(7), commits_before_death: 1, ..Recorder::default() };
    interrupted(&lab, &with, &mut recorder);
    assert_eq!((recorder.metrics.len(), saved_steps(&recorder)), (7, vec![4]));
    assert_eq!(resumed(&lab, &with, &mut recorder), outputs);
    assert_eq!(recorder.rewinds, [0, 4]);
    assert_eq!(comparable(&recorder.metrics), comparable(&rows));
    assert_eq!(logged(&lab), through_json(&recorder.metrics));
}

#[test]
fn a_checkpoint_that_cannot_be_written_ends_the_attempt() {
    let lab = TrainingLab::new();
    fs::remove_dir(lab.steps.directory.path().join("artifacts/tmp")).unwrap();
    let mut recorder = Recorder::default();
    let Err(StepError::Failed(failure)) = lab.attempt(&TRAIN, lab.train_arguments(json!({})), &mut recorder) else {
        panic!("nothing can be written")
    };
    assert_eq!(failure.kind, FailureKind::Retryable, "{failure}");
    assert!(recorder.metrics.len() <= 8, "no later than the next checkpoint");
    assert!(recorder.checkpoints.is_empty());
}

#[test]
fn without_an_interval_only_the_end_of_a_short_training_is_saved() {
    let lab = TrainingLab::new();
    let (outputs, _) = whole(&lab, &lab.train_arguments(json!({})));
    let mut recorder = Recorder::default();
    let with = lab.train_arguments(json!({"checkpoint_every": null}));
    assert_eq!(lab.attempt(&TRAIN, with, &mut recorder).unwrap(), outputs);
    assert_eq!(saved_steps(&recorder), [12]);
}

/// Resume bug "truncated checkpoint chosen as latest".
#[test]
fn truncated_newest_checkpoint_falls_back_and_says_so() {
    let lab = TrainingLab::new();
    let with = lab.train_arguments(json!({}));
    let (outputs, rows) = whole(&lab, &with);
    for name in ["weights.safetensors", "optimizer.safetensors", "state.json"] {
        let mut recorder = Recorder { stop_after: Some(9), ..Recorder::default() };
        interrupted(&lab, &with, &mut recorder);
        let newest = file_of(&lab, recorder.checkpoints.last().unwrap(), name);
        damage(&lab, &newest, |bytes| bytes.truncate(bytes.len() / 2));

        assert_eq!(resumed(&lab, &with, &mut recorder), outputs);
        assert_eq!(comparable(&recorder.metrics), comparable(&rows));
        assert_eq!(recorder.rewinds, [0, 8], "{name}");
        let [note] = recorder.notes.as_slice() else { panic!("{:?}", recorder.notes) };
        for part in ["step 9", name, newest.digest.as_str()] {
            assert!(note.contains(part), "`{part}` is not in: {note}");
        }
    }
}

#[test]
fn a_flipped_byte_or_a_missing_manifest_falls_back_too() {
    let lab = TrainingLab::new();
    let with = lab.train_arguments(json!({}));
    let (outputs, _) = whole(&lab, &with);
    let mut recorder = Recorder { die_at: Some(11), commits_before_death: 2, ..Recorder::default() };
    interrupted(&lab, &with, &mut recorder);
    let manifest = recorder.checkpoints[1].artifact.clone().unwrap();
    fs::remove_file(lab.artifacts.blob_path(&manifest.digest)).unwrap();
    let weights = file_of(&lab, &recorder.checkpoints[0], "weights.safetensors");
    damage(&lab, &weights, |bytes| *bytes.last_mut().unwrap() ^= 1);

    assert_eq!(resumed(&lab, &with, &mut recorder), outputs);
    assert_eq!(recorder.rewinds.last(), Some(&0));
    assert_eq!(recorder.notes.len(), 3, "{:?}", recorder.notes);
    assert!(recorder.notes[2].contains("starts again from step 0"));
}

/// Resume bug "logger rewinds": rows after the checkpoint are void in the database and in the file.
#[test]
fn metric_rewind() {
    let lab = TrainingLab::new();
    let with = lab.train_arguments(json!({}));
    let mut recorder = Recorder { die_at: Some(7), commits_before_death: 1, ..Recorder::default() };
    interrupted(&lab, &with, &mut recorder);
    assert_eq!(recorder.metrics.len(), 7);
    resumed(&lab, &with, &mut recorder);
    assert_eq!(recorder.rewinds, [0, 4]);
    let steps = |rows: &[MetricRow]| rows.iter().map(|row| row.train_step).collect::<Vec<_>>();
    assert_eq!(steps(&recorder.metrics), (1..=12).collect::<Vec<_>>());
    assert_eq!(steps(&logged(&lab)), (1..=12).collect::<Vec<_>>());
}

#[test]
fn phase_ends_are_permanent_checkpoints() {
    let lab = TrainingLab::new();
    let phases = json!([{"name": "a", "steps": 5}, {"name": "b", "steps": 4, "tokens": [lab.tokens[0]], "context": 8}]);
    let with = lab.train_arguments(json!({"phases": phases, "steps": null}));
    let mut recorder = Recorder { stop_after: Some(6), ..Recorder::default() };
    interrupted(&lab, &with, &mut recorder);
    let outputs = resumed(&lab, &with, &mut recorder);
    let kept: Vec<_> = recorder.checkpoints.iter().map(|c| (c.last_step.unwrap(), c.permanent)).collect();
    assert_eq!(kept, [(4, false), (5, true), (6, false), (8, false), (9, true)]);
    assert_eq!(outputs.values["tokens"], 5 * 4 * 12 + 4 * 4 * 8);
    assert_eq!(whole(&lab, &with).0, outputs);
}

#[test]
fn another_device_or_build_is_noted() {
    let lab = TrainingLab::new();
    let with = lab.train_arguments(json!({}));
    let mut recorder = Recorder { stop_after: Some(5), ..Recorder::default() };
    interrupted(&lab, &with, &mut recorder);
    let newest = recorder.checkpoints.last_mut().unwrap();
    let mut tree = lab.artifacts.read_tree(newest.artifact.as_ref().unwrap()).unwrap().entries;
    let state = String::from_utf8(lab.artifacts.read(&tree["state.json"]).unwrap()).unwrap();
    let state = state.replace("\"device\": \"flex\"", "\"device\": \"cuda\"");
    tree.insert("state.json".to_owned(), lab.artifacts.put_bytes(state.as_bytes(), "application/json").unwrap());
    newest.artifact = Some(lab.artifacts.put_tree(&tree).unwrap());
    resumed(&lab, &with, &mut recorder);
    let [note] = recorder.notes.as_slice() else { panic!("{:?}", recorder.notes) };
    assert!(note.contains("device `cuda`, this is `flex`"), "{note}");
}

#[test]
fn the_result_is_a_model_of_config_and_weights() {
    let lab = TrainingLab::new();
    let (outputs, rows) = whole(&lab, &lab.train_arguments(json!({})));
    let tree = lab.artifacts.read_tree(&outputs.artifacts["model"]).unwrap().entries;
    assert_eq!(tree.keys().collect::<Vec<_>>(), ["config.json", "model.safetensors"]);
    let config: Value = serde_json::from_slice(&lab.artifacts.read(&tree["config.json"]).unwrap()).unwrap();
    assert_eq!((&config["vocab_size"], &config["stepwell"]["context"]), (&json!(300), &json!(12)));
    assert_eq!(outputs.values["steps"], 12);
    assert!((outputs.values["final_loss"].as_f64().unwrap() - rows[11].loss).abs() < 1e-5);
    let message = &lab_message(&lab);
    assert!(message.starts_with("loss ") && message.contains("  lr ") && message.ends_with(" tok/s"), "{message}");
}

#[test]
fn the_metrics_have_a_z_loss_if_there_is_one() {
    let lab = TrainingLab::new();
    let (_, without) = whole(&lab, &lab.train_arguments(json!({})));
    assert!(!fs::read_to_string(lab.step_directory().join("metrics.jsonl")).unwrap().contains("z_loss"));
    let with = lab.train_arguments(json!({"z_loss": 0.01}));
    let (outputs, rows) = whole(&lab, &with);
    assert_eq!(rows[0].loss, without[0].loss);
    assert!(rows.iter().all(|row| row.z_loss.is_some_and(|z_loss| z_loss > 0.0)));
    assert!((outputs.values["final_loss"].as_f64().unwrap() - rows[11].loss).abs() < 1e-5);
    let mut recorder = Recorder { stop_after: Some(5), ..Recorder::default() };
    interrupted(&lab, &with, &mut recorder);
    assert_eq!(resumed(&lab, &with, &mut recorder), outputs);
    let z_losses = |rows: &[MetricRow]| rows.iter().map(|row| row.z_loss).collect::<Vec<_>>();
    assert_eq!(z_losses(&recorder.metrics), z_losses(&rows));
}

fn lab_message(lab: &TrainingLab) -> String {
    let mut recorder = Recorder::default();
    lab.attempt(&TRAIN, lab.train_arguments(json!({"steps": 1})), &mut recorder).unwrap();
    recorder.progress.last().unwrap().message.clone()
}

#[test]
fn divergence_is_fatal_and_keeps_the_last_good_checkpoint() {
    let lab = TrainingLab::new();
    let with = lab.train_arguments(json!({"optimizer": {"learning_rate": 1e38, "clip": 0.0}, "checkpoint_every": 1}));
    let mut recorder = Recorder::default();
    let Err(StepError::Failed(failure)) = lab.attempt(&TRAIN, with, &mut recorder) else { panic!("it diverges") };
    assert_eq!(failure.kind, FailureKind::Fatal);
    assert!(failure.message.starts_with("training diverged at step "), "{}", failure.message);
    let hint = failure.hint.unwrap();
    assert!(hint.contains("`-S learning_rate=NUMBER`") && hint.contains("`optimizer.learning_rate`"), "{hint}");
    assert!(hint.ends_with("; the last checkpoint is kept"), "{hint}");
    let with =
        lab.train_arguments(json!({"optimizer": {"learning_rate": 1e38, "clip": 0.0}, "checkpoint_every": 1000}));
    let Err(StepError::Failed(early)) = lab.attempt(&TRAIN, with, &mut Recorder::default()) else {
        panic!("it diverges")
    };
    assert!(!early.hint.unwrap().contains("checkpoint"), "there is none");
    let good = recorder.checkpoints.last().unwrap();
    assert!(failure.message.contains(&format!("at step {}", good.last_step.unwrap() + 1)));
    lab.artifacts.verify(good.artifact.as_ref().unwrap()).unwrap();
}

#[test]
fn bad_input_is_refused_before_anything_is_written() {
    let lab = TrainingLab::new();
    let cases = [
        (json!({"optimizer": {"learning_rate": null}}), "the learning rate is NaN"),
        (json!({"z_loss": -1e-4}), "`z_loss` is -0.0001: it must be 0 (off) or a number from 1e-9 to 1"),
        (json!({"context": 100_000}), "`context` is 100000, beyond the 62831 tokens that rotary positions tell apart"),
        (json!({"context": 50_000}), "a context of 50000 tokens is longer than all documents together: they have "),
        (json!({"model": "huge"}), "`huge` is not a model preset"),
        (json!({"device": "abacus"}), "`abacus` is not a device"),
        (json!({"tokens": []}), "there is no text to train on"),
        (json!({"stepz": 4}), "unknown field `stepz`"),
        (json!({"freeze_layers": 1}), "`freeze_layers` is 1, the model has 1 layers; at most 0 can be frozen"),
        (json!({"model": {"heads": 5, "d_model": 15}}), "`head_dim` is 3"),
        (
            json!({"phases": [{"name": "a", "steps": 2, "context": 100}], "steps": null}),
            "phase `a` has a context of 100",
        ),
    ];
    for (change, message) in cases {
        let failure = failure(&lab, change.clone());
        assert!(failure.message.contains(message), "{change}: {}", failure.message);
        assert_eq!(failure.kind, FailureKind::Fatal, "{change}");
    }
}

#[test]
fn tokens_of_another_tokenizer_are_refused() {
    let lab = TrainingLab::new();
    let mut bytes = lab.artifacts.read(&lab.tokens[1]).unwrap();
    bytes[48] = 99;
    let foreign = lab.artifacts.put_bytes(&bytes, "x").unwrap();
    let failure = failure(&lab, json!({"tokens": [foreign]}));
    assert!(failure.message.contains("another tokenizer"), "{}", failure.message);
    assert!(failure.hint.unwrap().contains("tokenize the documents again"));
}

#[test]
fn documents_shorter_than_the_context_are_trained_on_with_a_word_about_it() {
    let lab = TrainingLab::new();
    for (context, said) in [(12, false), (300, true)] {
        let mut recorder = Recorder::default();
        let with = lab.train_arguments(json!({"steps": 1, "context": context}));
        lab.attempt(&TRAIN, with, &mut recorder).unwrap();
        let notes: Vec<_> = recorder.notes.iter().filter(|note| note.contains("the longest has")).collect();
        assert_eq!(notes.len(), usize::from(said), "{notes:?}");
    }
}

#[test]
fn a_damaged_token_file_is_never_trained_on() {
    let lab = TrainingLab::new();
    damage(&lab, &lab.tokens[0], |bytes| *bytes.last_mut().unwrap() ^= 1);
    let failure = failure(&lab, json!({}));
    assert!(failure.message.contains(lab.tokens[0].digest.as_str()), "{}", failure.message);
}

#[test]
fn the_fingerprint_is_the_backend() {
    let lab = TrainingLab::new();
    let fingerprint = TRAIN.fingerprint(&lab.train_arguments(json!({"device": "auto"}))).unwrap();
    assert_eq!(fingerprint, json!({"backend": "flex"}));
    assert!(TRAIN.fingerprint(&lab.train_arguments(json!({"device": "abacus"}))).is_err());
}

#[test]
fn a_checkpoint_that_a_fork_cannot_continue_is_known_before_it_runs() {
    let lab = TrainingLab::new();
    let mut recorder = Recorder { stop_after: Some(5), ..Recorder::default() };
    interrupted(&lab, &lab.train_arguments(json!({})), &mut recorder);
    let checkpoint = recorder.checkpoints.last().unwrap();
    let file = |name: &str| lab.artifacts.read(&file_of(&lab, checkpoint, name)).ok();
    let misfit = |change: Value| TRAIN.misfit(&lab.train_arguments(change), &file);
    for fits in [json!({}), json!({ "context": 16 }), json!({ "seed": 9 }), json!({ "batch": 1 })] {
        assert_eq!(misfit(fits.clone()), None, "{fits}");
    }
    assert_eq!(misfit(json!({ "model": "quickstart" })), Some(Misfit::Shape));
    assert_eq!(misfit(json!({ "model": { "preset": "tiny", "layers": 3 } })), Some(Misfit::Shape));
    let other = json!({ "preset": "tiny", "layers": 1, "d_model": 16, "heads": 2, "hidden": 24, "dropout": 0.1 });
    assert_eq!(misfit(json!({ "model": other })), None);
    assert_eq!(misfit(json!({ "steps": 2 })), Some(Misfit::BehindTheEnd { steps: 2 }));
}

/// Resume bug "mixture redrawn": a kill must not change which source gives a sample.
#[test]
fn a_mixture_trains_the_same_in_one_piece_and_in_three() {
    let lab = TrainingLab::new();
    let data = json!([
        {"name": "web", "tokens": [lab.tokens[0]], "weight": 0.7},
        {"name": "books", "tokens": [lab.tokens[1]], "weight": 0.3, "max_epochs": 50},
    ]);
    let phases = json!([{"name": "a", "steps": 8}, {"name": "b", "steps": 4, "data": [{"tokens": [lab.tokens[1]], "weight": 2}]}]);
    let with = lab.train_arguments(json!({"tokens": [], "data": data, "phases": phases, "steps": null}));
    let (outputs, rows) = whole(&lab, &with);
    let mixture = outputs.values["mixture"].as_array().unwrap();
    let counts: Vec<(&str, u64)> =
        mixture.iter().map(|row| (row["source"].as_str().unwrap(), row["samples"].as_u64().unwrap())).collect();
    assert_eq!(counts[2], ("b: 1", 16));
    assert_eq!((counts[0].0, counts[1].0, counts[0].1 + counts[1].1), ("a: web", "a: books", 32));
    // Three whole cycles of ten, and two more samples.
    assert!((21..=23).contains(&counts[0].1), "{counts:?}");
    for (stop_after, die_at) in [(Some(5), None), (None, Some(7)), (Some(9), None)] {
        let mut recorder = Recorder { stop_after, die_at, ..Recorder::default() };
        interrupted(&lab, &with, &mut recorder);
        assert_eq!(resumed(&lab, &with, &mut recorder), outputs);
        assert_eq!(comparable(&recorder.metrics), comparable(&rows));
    }
    let unmixed = whole(&lab, &lab.train_arguments(json!({}))).0;
    assert_ne!(unmixed.artifacts["model"], outputs.artifacts["model"]);
    assert_eq!(unmixed.values["mixture"], Value::Null);
}

/// Resume bug "phase forgets its mixture": phases mix the same token files with weights of their own. The small source is
/// seen several times in each phase, so attempts stop before and after ends of epochs, and on both sides of the phase change.
#[test]
fn phases_mix_one_token_cache_by_their_own_weights_across_every_kill() {
    let lab = TrainingLab::new();
    let lines: Vec<String> =
        (0..3).map(|n| json!({"id": n.to_string(), "text": format!("The cat sees dog {n}.")}).to_string()).collect();
    let few = json!({"documents": lab.ndjson(&lines), "tokenizer": lab.tokenizer});
    let few = lab.run_once(&crate::TOKENIZE, few).artifacts["tokens"].clone();
    let mix = |web: u32, few_weight: u32| {
        json!([
            {"name": "web", "tokens": [lab.tokens[0], lab.tokens[1]], "weight": web},
            {"name": "few", "tokens": [few], "weight": few_weight},
        ])
    };
    let phases = json!([{"name": "a", "steps": 6, "data": mix(2, 2)}, {"name": "b", "steps": 6, "data": mix(1, 3)}]);
    let with = lab.train_arguments(json!({"tokens": [], "phases": phases, "steps": null, "checkpoint_every": 2}));
    let (outputs, rows) = whole(&lab, &with);
    let mixture = outputs.values["mixture"].as_array().unwrap();
    let counts: Vec<(&str, u64)> =
        mixture.iter().map(|row| (row["source"].as_str().unwrap(), row["samples"].as_u64().unwrap())).collect();
    assert_eq!(counts, [("a: web", 12), ("a: few", 12), ("b: web", 6), ("b: few", 18)]);
    assert!(mixture[1]["epochs"].as_f64().unwrap() > 1.5, "{mixture:?}");
    // 33 + 33 + 34 of 100, the second stop inside of the second phase, and kills around the phase change.
    for stops in [vec![4, 8], vec![5, 6, 7], vec![1, 6, 11]] {
        let mut recorder = Recorder::default();
        for (number, stop) in stops.iter().enumerate() {
            (recorder.stop_after, recorder.die_at) =
                if number % 2 == 0 { (Some(*stop), None) } else { (None, Some(*stop)) };
            interrupted(&lab, &with, &mut recorder);
        }
        assert_eq!(resumed(&lab, &with, &mut recorder), outputs, "{stops:?}");
        assert_eq!(comparable(&recorder.metrics), comparable(&rows), "{stops:?}");
    }
}

#[test]
fn mixtures_that_cannot_be_are_refused() {
    let lab = TrainingLab::new();
    let source = |weight: f64| json!({"name": "web", "tokens": [lab.tokens[0]], "weight": weight});
    let mut limited = source(1.0);
    limited["max_epochs"] = json!(0.5);
    for (data, message) in [
        (json!([source(0.0), source(0.0)]), "the run: the weights of all sources are 0"),
        (json!([source(1.0), source(-1.0)]), "the run: the weight of source 2 is -1"),
        (json!([{"tokens": [], "weight": 1}]), "source `1` has no token files"),
        (json!([limited]), "phase `main` would see source `web` "),
        (json!([]), "the run has no token files"),
    ] {
        let failure = failure(&lab, json!({"tokens": [], "data": data}));
        assert!(failure.message.starts_with(message) || failure.message.contains(message), "{failure}");
        assert!(failure.hint.is_some_and(|hint| !hint.is_empty()));
    }
    let failure = failure(&lab, json!({"data": [source(1.0)]}));
    assert!(failure.message.contains("both `tokens` and `data`"), "{failure}");
}
