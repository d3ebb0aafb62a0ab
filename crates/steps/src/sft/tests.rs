//! Rows through a whole model: what is learned, what is refused, and a training on it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::SFT_TOKENIZE;
use crate::tests::{Recorder, StepLab};
use crate::{MODEL_IMPORT, StepError};
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::token_file::Header;

pub const TEMPLATE: &str = "{{ bos_token }}{% for m in messages %}{{ m.role + ':\\n' + m.content }}\
                        {% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}\
                        {% if add_generation_prompt %}{{ 'assistant:\\n' }}{% endif %}";

/// A model of a few weights with a chat template.
pub fn folder(lab: &StepLab, template: &str) -> PathBuf {
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden/export_tiny");
    let folder = lab.directory.path().join("chat-model");
    std::fs::create_dir_all(&folder).unwrap();
    for file in std::fs::read_dir(tiny).unwrap() {
        let path = file.unwrap().path();
        std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    std::fs::write(folder.join("chat_template.jinja"), template).unwrap();
    folder
}

pub fn rows(lab: &StepLab, rows: &[Value]) -> ArtifactRef {
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    lab.artifacts.put_bytes((lines.join("\n") + "\n").as_bytes(), "application/x-ndjson").unwrap()
}

fn chat(question: &str, answer: &str) -> Value {
    json!({ "messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}] })
}

fn run(lab: &StepLab, with: &Value) -> (Result<Outputs, StepError>, Vec<String>) {
    let mut recorder = Recorder::default();
    let ended = lab.attempt_of(&SFT_TOKENIZE, with, &mut recorder);
    let _ = std::fs::remove_dir_all(lab.step_directory());
    (ended, recorder.notes)
}

/// Ids of the file, and whether each is learned.
fn tokens(lab: &StepLab, outputs: &Outputs) -> Vec<(u32, bool)> {
    let bytes = lab.artifacts.read(&outputs.artifacts["tokens"]).unwrap();
    let header = Header::decode(&bytes).unwrap();
    let ids = bytes[header.tokens_at()..header.mask_at()].chunks(header.width.bytes());
    let id = |bytes: &[u8]| bytes.iter().rev().fold(0, |id, byte| id << 8 | u32::from(*byte));
    let learned = |token: usize| bytes[header.mask_at() + token / 8] >> (token % 8) & 1 == 1;
    ids.enumerate().map(|(token, bytes)| (id(bytes), learned(token))).collect()
}

#[test]
fn answers_are_learned_with_their_ends_and_prompts_are_not() {
    let lab = StepLab::new();
    let folder = folder(&lab, TEMPLATE);
    let model = stepwell_models::Model::open(&folder).unwrap();
    let given = rows(&lab, &[chat("<eos> x", "yes"), json!({ "prompt": "two", "completion": " three" })]);
    let with = json!({ "rows": given, "model": folder });
    let (ended, _) = run(&lab, &with);
    let outputs = ended.unwrap();
    let found = tokens(&lab, &outputs);
    let text = |wanted: bool| {
        let ids = found.iter().filter(|(_, learned)| *learned == wanted);
        let bytes: Vec<u8> = ids.flat_map(|(id, _)| model.tokenizer.token_bytes(*id)).collect();
        String::from_utf8(bytes).unwrap()
    };
    assert_eq!(text(true), "yes\n three");
    assert_eq!(text(false), "user:\n<eos> x\nassistant:\ntwo");
    let eos = model.special.eos[0];
    let ends: Vec<bool> = found.iter().filter(|(id, _)| *id == eos).map(|(_, learned)| *learned).collect();
    assert_eq!(ends, [true, true], "both answers end, and `<eos>` in a message is text");
    let learned = found.iter().filter(|(_, learned)| *learned).count();
    assert_eq!(outputs.values["learned_tokens"], learned);
    assert_eq!([&outputs.values["examples"], &outputs.values["ends_learned"]], [2, 2]);
    assert_eq!(run(&lab, &with).0.unwrap(), outputs, "equal rows give equal bytes");
}

#[test]
fn rows_that_cannot_be_learned_are_named_or_counted() {
    let lab = StepLab::new();
    let folder = folder(&lab, TEMPLATE);
    let given = rows(
        &lab,
        &[
            chat("a", "b"),
            json!({ "text": "no example" }),
            json!({ "messages": [{"role": "user", "content": "no answer"}] }),
            json!({ "prompt": "x", "completion": "" }),
        ],
    );
    let with = |on_bad_row: &str| json!({ "rows": given, "model": folder, "on_bad_row": on_bad_row });
    let Err(StepError::Failed(failure)) = run(&lab, &with("fail")).0 else { panic!("rows are bad") };
    assert!(
        failure.message.starts_with("3 of 4 rows of the output cannot be learned: line 2: it has neither"),
        "{failure}"
    );
    assert!(failure.message.contains("line 3: ") && failure.hint.unwrap().contains("skip"));
    let (ended, notes) = run(&lab, &with("skip"));
    let outputs = ended.unwrap();
    assert_eq!([&outputs.values["rows"], &outputs.values["examples"], &outputs.values["refused"]], [4, 1, 3]);
    assert_eq!(notes.len(), 3, "{notes:?}");
    let report: Value = serde_json::from_slice(&lab.artifacts.read(&outputs.artifacts["report"]).unwrap()).unwrap();
    assert_eq!(report["refused"].as_array().unwrap().len(), 3);
}

#[test]
fn a_model_that_would_never_learn_to_stop_is_refused() {
    let lab = StepLab::new();
    let folder = folder(&lab, &TEMPLATE.replace("{{ eos_token }}", ""));
    let given = rows(&lab, &[chat("a", "b")]);
    let Err(StepError::Failed(failure)) = run(&lab, &json!({ "rows": given, "model": folder })).0 else { panic!() };
    assert!(failure.message.contains("would not learn to stop"), "{failure}");
}

#[test]
fn an_imported_model_gives_the_same_tokens_as_its_folder() {
    let lab = StepLab::new();
    let folder = folder(&lab, TEMPLATE);
    let imported = lab.run(&MODEL_IMPORT, &json!({ "source": folder })).unwrap();
    let given = rows(&lab, &[chat("a", "b")]);
    let tokens =
        |model: Value| run(&lab, &json!({ "rows": given, "model": model })).0.unwrap().artifacts["tokens"].clone();
    assert_eq!(tokens(json!(imported.artifacts["model"])), tokens(json!(folder)));
}

#[cfg(feature = "train")]
mod training {
    use super::*;
    use crate::export::EXPORT;
    use crate::train::TRAIN;

    /// Trains the imported model on a few examples.
    fn trained(lab: &StepLab, base: &Outputs, tokens: &ArtifactRef, change: Value) -> Result<Outputs, StepError> {
        let mut with = json!({
            "tokens": [tokens], "tokenizer": base.artifacts["tokenizer"], "from": base.artifacts["model"], "context": 32,
            "batch": 2, "steps": 6, "device": "flex", "packing": "none",
        });
        with.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let ended = lab.attempt_of(&TRAIN, &with, &mut Recorder::default());
        let _ = std::fs::remove_dir_all(lab.step_directory());
        ended
    }

    #[test]
    fn an_imported_model_is_tuned_and_exported_with_its_own_tokenizer_and_template() {
        let lab = StepLab::new();
        let folder = folder(&lab, TEMPLATE);
        let base = lab.run(&MODEL_IMPORT, &json!({ "source": folder })).unwrap();
        let examples: Vec<Value> = (0..8).map(|n| chat(&format!("number {n}"), &format!("answer {}", n * n))).collect();
        let given = rows(&lab, &examples);
        let made = run(&lab, &json!({ "rows": given, "model": base.artifacts["model"] })).0.unwrap();
        let tokens = &made.artifacts["tokens"];

        let Err(StepError::Failed(failure)) = trained(&lab, &base, tokens, json!({ "packing": "wrapped" })) else {
            panic!()
        };
        assert!(failure.message.contains("in two"), "{failure}");

        let single = trained(&lab, &base, tokens, json!({})).unwrap();
        let loss = |outputs: &Outputs| outputs.values["final_loss"].as_f64().unwrap();
        let first = loss(&trained(&lab, &base, tokens, json!({ "steps": 1 })).unwrap());
        assert!(loss(&single) < first, "{} after {first}", loss(&single));
        // Two micro-batches of one are one of two: the loss is divided by the answers of the whole step.
        let halves = trained(&lab, &base, tokens, json!({ "batch": 1, "accumulation": 2 })).unwrap();
        assert!((loss(&halves) - loss(&single)).abs() < 1e-5, "{} and {}", loss(&halves), loss(&single));
        trained(&lab, &base, tokens, json!({ "packing": "best-fit", "context": 64 })).unwrap();

        let with = json!({ "model": single.artifacts["model"], "base": base.artifacts["model"] });
        let exported = lab.run(&EXPORT, &with).unwrap();
        let tree = lab.artifacts.read_tree(&exported.artifacts["folder"]).unwrap();
        let original = lab.artifacts.read_tree(&base.artifacts["model"]).unwrap();
        for name in ["tokenizer.json", "chat_template.jinja"] {
            assert_eq!(tree.entries[name], original.entries[name], "{name}");
        }
        assert_ne!(tree.entries["model.safetensors"], original.entries["model.safetensors"]);
        let again = lab.directory.path().join("tuned");
        lab.artifacts.materialise(&exported.artifacts["folder"], &again).unwrap();
        let opened = stepwell_models::Model::open(&again).unwrap();
        assert!(
            opened.chat.is_some() && opened.special.eos == stepwell_models::Model::open(&folder).unwrap().special.eos
        );
        let neither = crate::StepHandler::check(&EXPORT, &json!({ "model": single.artifacts["model"] })).unwrap_err();
        assert!(neither.message.contains("either `tokenizer` or `base`"));
    }
}
