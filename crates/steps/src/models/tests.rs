use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{MODEL_IMPORT, open_model};
use crate::StepHandler;
use crate::tests::StepLab;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden/export_tiny")
}

fn copy(lab: &StepLab) -> PathBuf {
    let folder = lab.directory.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    for file in std::fs::read_dir(fixture()).unwrap() {
        let path = file.unwrap().path();
        std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    folder
}

#[test]
fn a_folder_becomes_an_artifact_that_opens_as_the_same_model() {
    let lab = StepLab::new();
    let folder = copy(&lab);
    std::fs::write(folder.join("notes.txt"), "not part of the model").unwrap();
    let outputs = lab.run(&MODEL_IMPORT, &json!({ "source": folder })).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let model = open_model(&lab.artifacts, &outputs.artifacts["model"], None).unwrap();
    assert_eq!((model.shape.layers, model.shape.vocab), (2, 288));
    assert_eq!(outputs.values["parameters"], model.shape.parameters());
    assert_eq!(outputs.values["weights"], json!({ "F32": 20 }));
    let names: Vec<String> =
        lab.artifacts.read_tree(&outputs.artifacts["model"]).unwrap().entries.into_keys().collect();
    assert!(!names.contains(&"notes.txt".to_owned()) && names.contains(&"model.safetensors".to_owned()), "{names:?}");
    let provenance: Value =
        serde_json::from_slice(&lab.artifacts.read(&outputs.artifacts["provenance"]).unwrap()).unwrap();
    assert_eq!(provenance["files"].as_array().unwrap().len(), names.len());
}

#[test]
fn every_byte_counts_for_the_key_and_other_files_do_not() {
    let lab = StepLab::new();
    let folder = copy(&lab);
    let with = json!({ "source": folder });
    let first = MODEL_IMPORT.fingerprint(&with).unwrap();
    std::fs::write(folder.join("notes.txt"), "x").unwrap();
    assert_eq!(MODEL_IMPORT.fingerprint(&with).unwrap(), first);
    let path = folder.join("model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_ne!(MODEL_IMPORT.fingerprint(&with).unwrap(), first);
}

#[test]
fn what_is_no_model_is_refused_before_the_run_and_what_is_not_known_in_it() {
    let lab = StepLab::new();
    let look = |source: &str| {
        let Value::Object(with) = json!({ "source": source }) else { unreachable!() };
        MODEL_IMPORT.look_ahead(&with, Path::new(""))
    };
    assert_eq!(look(&fixture().to_string_lossy()).len(), 0);
    assert!(look("/nowhere/at/all")[0].message.contains("/nowhere/at/all"));
    let empty = tempfile::tempdir().unwrap();
    assert!(look(&empty.path().to_string_lossy())[0].message.contains("config.json: it is missing"));
    let folder = copy(&lab);
    let config = std::fs::read_to_string(folder.join("config.json")).unwrap();
    std::fs::write(folder.join("config.json"), config.replace("LlamaForCausalLM", "MambaForCausalLM")).unwrap();
    let failure = lab.run(&MODEL_IMPORT, &json!({ "source": folder })).unwrap_err();
    assert!(failure.message.contains("architecture `MambaForCausalLM` is not known"), "{failure}");
}
