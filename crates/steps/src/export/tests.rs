use serde_json::{Value, json};
use tokenizers::Tokenizer;

use super::{EXPORT, GenerationConfig};
use crate::StepError;
use crate::tests::{Recorder, TrainingLab};
use crate::train::TRAIN;
use stepwell_train::model::hf_config::SpecialTokens;

#[test]
fn the_folder_holds_what_transformers_reads() {
    let lab = TrainingLab::new();
    let model = lab.run_once(&TRAIN, lab.train_arguments(json!({"steps": 2})));
    let with = json!({"model": model.artifacts["model"], "tokenizer": lab.tokenizer});
    let outputs = lab.run_once(&EXPORT, with.clone());
    assert_eq!(lab.run_once(&EXPORT, with), outputs);
    assert_eq!(outputs.values["architecture"], "LlamaForCausalLM");

    let folder = lab.steps.directory.path().join("exported");
    lab.artifacts.materialise(&outputs.artifacts["folder"], &folder).unwrap();
    let json = |name: &str| -> Value { serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap() };
    let config = json("config.json");
    assert!(config.get("stepwell").is_none());
    let special = |name: &str| config[format!("{name}_token_id")].clone();
    assert_eq!(json("generation_config.json")["eos_token_id"], special("eos"));
    assert_eq!(json("tokenizer_config.json")["model_max_length"], 12);
    assert_eq!(json("special_tokens_map.json")["bos_token"], "<bos>");
    let ids = json("tokenizer.json");
    let added = ids["added_tokens"].as_array().unwrap();
    let id = |text: &str| added.iter().find(|token| token["content"] == text).unwrap()["id"].clone();
    assert_eq!([id("<bos>"), id("<eos>"), id("<pad>")], ["bos", "eos", "pad"].map(special));

    let tokenizer = Tokenizer::from_file(folder.join("tokenizer.json")).unwrap();
    let [bos, eos] = ["bos", "eos"].map(|name| special(name).as_u64().unwrap() as u32);
    let encoded = |text: &str| tokenizer.encode(text, true).unwrap().get_ids().to_vec();
    assert_eq!(encoded(""), [bos]);
    let plain = tokenizer.encode("The cat", false).unwrap().get_ids().to_vec();
    assert_eq!(encoded("The cat"), [&[bos], &*plain].concat());
    assert!(!plain.contains(&bos) && !encoded("The cat").contains(&eos));
    let pair = tokenizer.encode(("The", "cat"), true).unwrap();
    assert_eq!(pair.get_ids().iter().filter(|id| **id == bos).count(), 2);
    let config = json("tokenizer_config.json");
    assert_eq!([&config["add_bos_token"], &config["split_special_tokens"]], [true, true]);
    assert_eq!(json("generation_config.json").get("suppress_tokens"), None);

    let weights = std::fs::read(folder.join("model.safetensors")).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&weights).unwrap();
    assert_eq!(header.metadata().as_ref().unwrap()["format"], "pt");
    let names = header.tensors();
    assert!(names.contains_key("model.layers.0.mlp.gate_proj.weight") && !names.contains_key("lm_head.weight"));
}

#[test]
fn ids_that_the_tokenizer_lacks_are_suppressed() {
    let special = SpecialTokens { bos_token_id: 1, eos_token_id: 2, pad_token_id: 0 };
    assert_eq!(GenerationConfig::new(special, 300, 303).suppress_tokens, [300, 301, 302]);
    assert!(GenerationConfig::new(special, 300, 300).suppress_tokens.is_empty());
}

#[test]
fn a_model_without_a_gate_has_no_counterpart() {
    let lab = TrainingLab::new();
    let change =
        json!({"steps": 1, "model": {"preset": "tiny", "layers": 1, "d_model": 16, "heads": 2, "ffn": "gelu"}});
    let model = lab.run_once(&TRAIN, lab.train_arguments(change));
    let with = json!({"model": model.artifacts["model"], "tokenizer": lab.tokenizer});
    let Err(StepError::Failed(failure)) = lab.attempt(&EXPORT, with, &mut Recorder::default()) else {
        panic!("it must fail")
    };
    assert!(failure.message.contains("without a gate"), "{}", failure.message);
    assert!(failure.hint.unwrap().contains("swiglu"));
}
