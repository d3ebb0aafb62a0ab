//! Preferences through whole steps. Tests of bugs that users of TRL met have their names.

use serde_json::{Value, json};

use super::PREFERENCES_TOKENIZE;
use crate::StepError;
use crate::sft::tests::{TEMPLATE, folder, rows};
use crate::tests::{Recorder, StepLab};
use stepwell_base::artifact::Outputs;
use stepwell_base::token_file::{Header, Unit};

fn pair(question: &str, good: &str, bad: &str) -> Value {
    json!({ "prompt": [{"role": "user", "content": question}],
        "chosen": [{"role": "assistant", "content": good}], "rejected": [{"role": "assistant", "content": bad}] })
}

fn run(lab: &StepLab, with: &Value) -> Result<Outputs, StepError> {
    let ended = lab.attempt_of(&PREFERENCES_TOKENIZE, with, &mut Recorder::default());
    let _ = std::fs::remove_dir_all(lab.step_directory());
    ended
}

/// Documents of the file: ids, and whether each is learned.
fn documents(lab: &StepLab, outputs: &Outputs) -> (Unit, Vec<Vec<(u32, bool)>>) {
    let bytes = lab.artifacts.read(&outputs.artifacts["tokens"]).unwrap();
    let header = Header::decode(&bytes).unwrap();
    let ids: Vec<u32> = bytes[header.tokens_at()..header.mask_at()]
        .chunks(header.width.bytes())
        .map(|bytes| bytes.iter().rev().fold(0, |id, byte| id << 8 | u32::from(*byte)))
        .collect();
    let learned = |token: usize| bytes[header.mask_at() + token / 8] >> (token % 8) & 1 == 1;
    let end = |document: usize| u64::from_le_bytes(bytes[64 + 8 * document..][..8].try_into().unwrap()) as usize;
    let mut start = 0;
    let document = |number: usize| {
        let range = start..end(number);
        start = range.end;
        range.map(|token| (ids[token], learned(token))).collect()
    };
    (header.unit, (0..header.documents as usize).map(document).collect())
}

/// The bug "double BOS in chosen and rejected" (axolotl 1616, OpenRLHF 393), and answers without an end.
#[test]
fn both_answers_have_one_bos_and_learn_their_ends() {
    let lab = StepLab::new();
    let folder = folder(&lab, TEMPLATE);
    let model = stepwell_models::Model::open(&folder).unwrap();
    let given =
        rows(&lab, &[pair("one", "yes", "no"), json!({ "prompt": "two", "chosen": " three", "rejected": " four" })]);
    let outputs = run(&lab, &json!({ "rows": given, "model": folder })).unwrap();
    let (unit, documents) = documents(&lab, &outputs);
    assert_eq!((unit, documents.len()), (Unit::Pair, 4));
    let (bos, eos) = (model.special.bos.unwrap(), model.special.eos[0]);
    for document in &documents {
        assert_eq!(document.iter().filter(|(id, _)| *id == bos).count(), usize::from(document[0].0 == bos));
        assert!(document.iter().any(|(id, learned)| *id == eos && *learned));
    }
    let learned = |document: &[(u32, bool)]| {
        let bytes: Vec<u8> = document
            .iter()
            .filter(|(_, learned)| *learned)
            .flat_map(|(id, _)| model.tokenizer.token_bytes(*id))
            .collect();
        String::from_utf8(bytes).unwrap()
    };
    let texts: Vec<String> = documents.iter().map(|document| learned(document)).collect();
    assert_eq!(texts, ["yes\n", "no\n", " three", " four"]);
    assert_eq!([&outputs.values["rows"], &outputs.values["pairs"], &outputs.values["refused"]], [2, 2, 0]);
}

#[test]
fn answers_with_labels_are_no_pairs_and_bad_rows_are_named() {
    let lab = StepLab::new();
    let folder = folder(&lab, TEMPLATE);
    let labelled = |label: bool| json!({ "prompt": "a", "completion": " b", "label": label });
    let outputs =
        run(&lab, &json!({ "rows": rows(&lab, &[labelled(true), labelled(false)]), "model": folder })).unwrap();
    let (unit, found) = documents(&lab, &outputs);
    assert_eq!((unit, found[0][0].1, found[1][0].1), (Unit::Labelled, true, false));
    assert_eq!(outputs.values["pairs"], 0);
    let mixed = rows(&lab, &[pair("a", "b", "c"), labelled(true), json!({ "prompt": "x", "chosen": "y" })]);
    let Err(StepError::Failed(failure)) = run(&lab, &json!({ "rows": mixed, "model": folder })) else { panic!() };
    assert!(failure.message.contains("line 2: it has a label where"), "{failure}");
    assert!(failure.message.contains("line 3: it has `chosen`, but no `rejected`"), "{failure}");
}

#[cfg(feature = "train")]
mod training {
    use super::*;
    use crate::MODEL_IMPORT;
    use crate::preferences::PREFERENCES_REFERENCE;
    use crate::train::TRAIN;
    use stepwell_base::artifact::ArtifactRef;
    use stepwell_base::protocol::SeriesChange;

    struct Lab {
        steps: StepLab,
        base: Outputs,
        tokens: ArtifactRef,
    }

    impl Lab {
        fn new() -> Lab {
            let steps = StepLab::new();
            let folder = folder(&steps, TEMPLATE);
            let base = steps.run(&MODEL_IMPORT, &json!({ "source": folder })).unwrap();
            let pairs: Vec<Value> = (0..7)
                .map(|n| pair(&format!("number {n}"), &format!("answer {}", n * n), &format!("{n} or so")))
                .collect();
            let given = rows(&steps, &pairs);
            let made = run(&steps, &json!({ "rows": given, "model": base.artifacts["model"] })).unwrap();
            Lab { tokens: made.artifacts["tokens"].clone(), steps, base }
        }

        fn with(&self, change: Value) -> Value {
            let mut with = json!({
                "tokens": [self.tokens], "tokenizer": self.base.artifacts["tokenizer"],
                "from": self.base.artifacts["model"], "context": 40, "batch": 2, "steps": 6, "device": "flex",
                "preference": {}, "lora": { "r": 4 }, "schedule": { "kind": "constant", "warmup_steps": 0 },
                "optimizer": { "learning_rate": 0.01, "weight_decay": 0.0 },
            });
            with.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            with
        }

        fn attempt(&self, change: Value, recorder: &mut Recorder) -> Result<Outputs, StepError> {
            self.steps.attempt_of(&TRAIN, &self.with(change), recorder)
        }

        /// Outputs, losses, and numbers by name of every step.
        fn train(&self, change: Value) -> (Outputs, Vec<f64>, Recorder) {
            let mut recorder = Recorder::default();
            let outputs = self.attempt(change, &mut recorder).unwrap();
            let _ = std::fs::remove_dir_all(self.steps.step_directory());
            let losses = recorder.metrics.iter().map(|row| row.loss).collect();
            (outputs, losses, recorder)
        }
    }

    fn figure(recorder: &Recorder, step: u64, name: &str) -> f64 {
        let found = recorder.series.iter().find_map(|change| match change {
            SeriesChange::Add(measured) if measured.train_step == step => measured.values.get(name).copied(),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("no `{name}` in step {step}"))
    }

    fn is_ln_2(loss: f64) -> bool {
        (loss - std::f64::consts::LN_2).abs() < 1e-6
    }

    /// The bugs "the reference is the policy with its adapter on" (trl 1340, 495) and "the reference drops" (trl 5542): only
    /// the first loss is `ln 2`, with and without dropout of adapters, and for one that is continued.
    #[test]
    fn the_reference_is_the_start_and_never_drops() {
        let lab = Lab::new();
        let (first, losses, recorder) = lab.train(json!({}));
        assert!(is_ln_2(losses[0]) && losses[5] < 0.9 * losses[0], "{losses:?}");
        assert!(figure(&recorder, 1, "rewards/margins").abs() < 1e-6);
        assert!(figure(&recorder, 6, "rewards/margins") > 0.01 && figure(&recorder, 6, "rewards/accuracies") > 0.5);
        assert!(figure(&recorder, 1, "logps/chosen") < 0.0);
        let continued = json!({ "lora": { "from": first.artifacts["adapter"] } });
        let (_, losses, _) = lab.train(continued.clone());
        assert!(is_ln_2(losses[0]) && losses[5] < losses[0], "{losses:?}");
        let (_, whole, _) = lab.train(json!({ "lora": null }));
        assert!(is_ln_2(whole[0]) && whole[5] < whole[0], "{whole:?}");
        // B is zero at first, so dropout changes nothing yet; a continued adapter that drops is not its reference.
        let (_, losses, _) = lab.train(json!({ "lora": { "r": 4, "dropout": 0.5 } }));
        assert!(is_ln_2(losses[0]), "{losses:?}");
        let (_, dropped, _) = lab.train(json!({ "lora": { "from": first.artifacts["adapter"], "dropout": 0.5 } }));
        assert!(!is_ln_2(dropped[0]) && (dropped[0] - losses[0]).abs() < 0.5, "{dropped:?}");
    }

    /// The bug "precomputed columns are dropped" (trl 1139): known log-probabilities train what asking does, and change it.
    #[test]
    fn a_precomputed_reference_is_used() {
        let lab = Lab::new();
        let reference = |adapter: Value| {
            let with = json!({ "tokens": [lab.tokens], "model": lab.base.artifacts["model"], "adapter": adapter,
                "context": 40, "batch": 2, "device": "flex" });
            let made = lab.steps.run(&PREFERENCES_REFERENCE, &with).unwrap();
            let _ = std::fs::remove_dir_all(lab.steps.step_directory());
            assert_eq!([&made.values["answers"], &made.values["left_out"]], [14, 0]);
            made.artifacts["reference"].clone()
        };
        let (asked, losses, _) = lab.train(json!({}));
        let known = json!({ "preference": { "reference": reference(Value::Null) } });
        let (precomputed, same, _) = lab.train(known);
        assert_eq!(losses, same);
        assert_eq!(asked.artifacts["adapter"], precomputed.artifacts["adapter"]);
        let adapter = &asked.artifacts["adapter"];
        let other = reference(json!(adapter));
        let (_, moved, _) = lab.train(json!({ "preference": { "reference": other } }));
        assert!(!is_ln_2(moved[0]), "{moved:?}");
        let (_, continued, _) = lab.train(json!({ "preference": { "reference": other }, "lora": { "from": adapter } }));
        assert!(is_ln_2(continued[0]), "{continued:?}");
        let short = json!({ "preference": { "reference": other }, "context": 32 });
        let Err(StepError::Failed(failure)) = lab.attempt(short, &mut Recorder::default()) else { panic!() };
        assert!(failure.message.contains("a context of 40 tokens, the training 32"), "{failure}");
    }

    #[test]
    fn every_loss_learns_in_pieces_with_the_bits_of_one_training() {
        let lab = Lab::new();
        for preference in [
            json!({}),
            json!({ "loss": "ipo" }),
            json!({ "loss": "hinge" }),
            json!({ "loss": "sigmoid_norm", "beta": 2.0 }),
            json!({ "loss": "robust", "label_smoothing": 0.1 }),
            json!({ "loss": "orpo" }),
            json!({ "loss": "orpo", "nll": "text" }),
        ] {
            let change = json!({ "preference": preference, "checkpoint_every": 2, "lora": { "r": 4, "dropout": 0.1 } });
            let (whole, losses, _) = lab.train(change.clone());
            assert!(losses.iter().all(|loss| loss.is_finite()) && losses[5] < losses[0], "{preference}: {losses:?}");
            let mut recorder = Recorder { stop_after: Some(3), ..Recorder::default() };
            assert!(matches!(lab.attempt(change.clone(), &mut recorder), Err(StepError::Interrupted)));
            recorder.stop_after = None;
            let pieces = lab.attempt(change, &mut recorder).unwrap();
            let _ = std::fs::remove_dir_all(lab.steps.step_directory());
            assert_eq!(pieces.artifacts, whole.artifacts, "{preference}");
        }
        // Two micro-batches of one pair are one of two: losses are divided by the pairs of the whole step.
        for preference in [json!({}), json!({ "loss": "orpo", "nll": "text" })] {
            let (_, joint, _) = lab.train(json!({ "preference": preference }));
            let (_, split, _) = lab.train(json!({ "preference": preference, "batch": 1, "accumulation": 2 }));
            assert!(joint.iter().zip(&split).all(|(a, b)| (a - b).abs() < 1e-5), "{joint:?} {split:?}");
        }
    }

    #[test]
    fn answers_with_labels_are_learned_too() {
        let mut lab = Lab::new();
        let labelled: Vec<Value> = (0..8)
            .map(|n| json!({ "prompt": format!("number {n}"), "completion": format!(" is {n}"), "label": n % 2 == 0 }))
            .collect();
        let given = rows(&lab.steps, &labelled);
        let made = run(&lab.steps, &json!({ "rows": given, "model": lab.base.artifacts["model"] })).unwrap();
        lab.tokens = made.artifacts["tokens"].clone();
        let (_, losses, recorder) = lab.train(json!({ "preference": { "loss": "kto" }, "batch": 4 }));
        assert!((losses[0] - 0.5).abs() < 1e-6 && losses[5] < losses[0], "{losses:?}");
        assert_eq!(figure(&recorder, 1, "kl"), 0.0);
        let Err(StepError::Failed(failure)) = lab.attempt(json!({}), &mut Recorder::default()) else { panic!() };
        assert!(failure.message.contains("hold answers with a label, this training learns from pairs"), "{failure}");
    }

    #[test]
    fn what_preferences_do_not_have_is_refused_before_the_run() {
        let lab = Lab::new();
        let check = |change: Value| crate::StepHandler::check(&TRAIN, &lab.with(change)).unwrap_err().message;
        assert!(check(json!({ "z_loss": 1e-4 })).contains("`z_loss`"));
        assert!(check(json!({ "packing": "best-fit" })).contains("rows of their own"));
        assert!(check(json!({ "preference": { "beta": 0 } })).contains("`preference.beta` is 0"));
        assert!(check(json!({ "preference": { "loss": "ipo", "label_smoothing": 0.1 } })).contains("no effect"));
        let reference = json!({ "preference": { "loss": "orpo", "reference": lab.tokens } });
        assert!(check(reference).contains("`orpo` has no reference"));
        let Err(StepError::Failed(failure)) = lab.attempt(json!({ "preference": null }), &mut Recorder::default())
        else {
            panic!()
        };
        assert!(failure.message.contains("hold pairs of answers, this training learns from single"), "{failure}");
    }
}
