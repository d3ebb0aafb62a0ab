//! Adapters through whole steps: trained, interrupted, exported for PEFT, imported, continued and merged.

use serde_json::{Value, json};

use super::{ADAPTER_IMPORT, ADAPTER_MERGE};
use crate::tests::{Recorder, TrainingLab};
use crate::train::TRAIN;
use crate::{EXPORT, StepError, StepHandler};
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_train::model::weights;

/// A lab with a trained model below the adapters.
fn lab() -> (TrainingLab, ArtifactRef) {
    let lab = TrainingLab::new();
    let trained = lab.run_once(&TRAIN, lab.train_arguments(json!({ "steps": 2 })));
    let model = trained.artifacts["model"].clone();
    (lab, model)
}

fn arguments(lab: &TrainingLab, from: &ArtifactRef, change: Value) -> Value {
    let mut with = lab.train_arguments(json!({ "from": from, "steps": 9, "lora": { "r": 4, "dropout": 0.2 } }));
    with.as_object_mut().unwrap().remove("model");
    with.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    with
}

fn digest(lab: &TrainingLab, outputs: &Outputs, name: &str, file: &str) -> String {
    lab.artifacts.read_tree(&outputs.artifacts[name]).unwrap().entries[file].digest.to_string()
}

fn loss(outputs: &Outputs) -> f64 {
    outputs.values["final_loss"].as_f64().unwrap()
}

#[test]
fn an_adapter_is_trained_in_pieces_with_the_bits_of_one() {
    let (lab, base) = lab();
    let with = arguments(&lab, &base, json!({}));
    let whole = lab.run_once(&TRAIN, with.clone());
    let mut recorder = Recorder { stop_after: Some(3), ..Recorder::default() };
    assert!(matches!(lab.attempt(&TRAIN, with.clone(), &mut recorder), Err(StepError::Interrupted)));
    recorder.stop_after = Some(6);
    assert!(matches!(lab.attempt(&TRAIN, with.clone(), &mut recorder), Err(StepError::Interrupted)));
    recorder.stop_after = None;
    let pieces = lab.attempt(&TRAIN, with, &mut recorder).unwrap();
    assert_eq!(pieces.artifacts, whole.artifacts);
    assert_eq!(recorder.notes, Vec::<String>::new());
    // The checkpoint holds the adapters alone.
    let checkpoint = recorder.checkpoints.last().unwrap().artifact.as_ref().unwrap();
    let file = &lab.artifacts.read_tree(checkpoint).unwrap().entries["weights.safetensors"];
    assert_eq!(file.digest.to_string(), digest(&lab, &whole, "adapter", "adapter_model.safetensors"));
}

#[test]
fn the_model_is_the_base_with_the_adapter_in_its_weights() {
    let (lab, base) = lab();
    let trained = lab.run_once(&TRAIN, arguments(&lab, &base, json!({})));
    let with = json!({ "model": base, "adapter": trained.artifacts["adapter"] });
    let merged = lab.run_once(&ADAPTER_MERGE, with);
    assert_eq!(merged.artifacts["model"], trained.artifacts["model"]);
    let exported = lab.run_once(&EXPORT, json!({ "model": trained.artifacts["model"], "tokenizer": lab.tokenizer }));
    let folder = lab.artifacts.read_tree(&exported.artifacts["folder"]).unwrap();
    let bytes = lab.artifacts.read(&folder.entries["model.safetensors"]).unwrap();
    assert!(weights::load(&bytes).unwrap().keys().all(|name| !name.contains("lora")));
}

#[test]
fn the_best_state_is_an_adapter_too() {
    let (lab, base) = lab();
    let change = json!({ "validation": lab.validation, "validation_every": 2, "output": "best",
        "optimizer": { "learning_rate": 0.3 } });
    let trained = lab.run_once(&TRAIN, arguments(&lab, &base, change));
    assert_eq!(trained.artifacts["model"], trained.artifacts["best"]);
    let with = json!({ "model": base, "adapter": trained.artifacts["adapter"] });
    assert_eq!(lab.run_once(&ADAPTER_MERGE, with).artifacts["model"], trained.artifacts["best"]);
}

#[test]
fn peft_s_folder_is_imported_and_continued() {
    let (lab, base) = lab();
    let first = lab.run_once(&TRAIN, arguments(&lab, &base, json!({})));
    let folder = lab.steps.directory.path().join("adapter");
    lab.artifacts.materialise(&first.artifacts["adapter"], &folder).unwrap();
    let imported = lab.steps.run(&ADAPTER_IMPORT, &json!({ "source": folder })).unwrap();
    assert_eq!(imported.artifacts["adapter"], first.artifacts["adapter"]);
    assert_eq!(imported.values["targets"].as_array().unwrap().len(), 7);
    let change = json!({ "lora": { "from": imported.artifacts["adapter"] } });
    let second = lab.run_once(&TRAIN, arguments(&lab, &base, change));
    assert!(loss(&second) < loss(&first), "{} after {}", loss(&second), loss(&first));
    let config = |outputs: &Outputs| digest(&lab, outputs, "adapter", "adapter_config.json");
    assert_eq!(config(&second), config(&first), "rank, scale, targets and dropout are those of the first");

    std::fs::write(folder.join("adapter_config.json"), r#"{"peft_type":"LORA","r":4,"lora_alpha":8,"use_dora":true}"#)
        .unwrap();
    let refused = lab.steps.run(&ADAPTER_IMPORT, &json!({ "source": folder })).unwrap_err();
    assert!(refused.message.contains("`use_dora` is true") && refused.hint.is_some(), "{refused}");
    let Value::Object(nowhere) = json!({ "source": "nowhere" }) else { unreachable!() };
    assert!(ADAPTER_IMPORT.look_ahead(&nowhere, folder.as_path())[0].message.contains("adapter_config.json"));
}

#[test]
fn what_adapters_do_not_have_is_refused_before_the_run() {
    let (lab, base) = lab();
    let check = |change: Value| TRAIN.check(&arguments(&lab, &base, change)).unwrap_err().message;
    assert!(check(json!({ "freeze_layers": 1 })).contains("layers are frozen besides"));
    assert!(check(json!({ "ema": 0.9 })).contains("`ema` averages"));
    assert!(check(json!({ "optimizer": { "kind": "muon" } })).contains("Muon"));
    assert!(check(json!({ "lora": { "targets": ["lm_head"] } })).contains("`lora.targets`"));
    assert!(check(json!({ "from": null })).contains("`lora` needs `from`"));
    assert!(check(json!({ "lora": { "r": 4, "from": base } })).contains("`lora.r` and `lora.from`"));
    let failed =
        lab.attempt(&TRAIN, arguments(&lab, &base, json!({ "lora": { "from": base } })), &mut Recorder::default());
    let Err(StepError::Failed(failure)) = failed else { panic!("a model is no adapter") };
    assert!(failure.message.contains("no file `adapter_config.json`"), "{failure}");
}
