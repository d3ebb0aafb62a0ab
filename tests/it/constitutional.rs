//! The constitutional pipeline with a model of a few weights: equal digests over kills of all processes, and a person's approval.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Sandbox, kill_with_workers};

/// Only the form of what a model without training writes is judged.
const CONSTITUTION: &str = r#"
schema = 1
seeds = ["Name a colour.", "Name a river.", "Say a word."]
shots = 2
[[principle]]
name = "brief"
text = "Be brief."
[[sentinel]]
name = "water"
group = "text"
prompt = "Water freezes at"
contains = ["zero"]
[instruction_sampling]
max_tokens = 300
temperature = 2.0
top_p = 1.0
repetition_penalty = 1.0
[response_sampling]
max_tokens = 300
temperature = 2.0
top_p = 1.0
repetition_penalty = 1.0
[critic]
min_margin = 0.0
bias = -100.0
[quality]
min_rows = 1
runaway = 1.0
token_limit = 1.0
leaks = 100
median_tokens = 1000.0
instruction_acceptance = 0.0
pair_acceptance = 0.0
"#;

/// A folder with the model `base`, whose labels are single tokens, and `constitution.toml`.
fn prepared() -> Sandbox {
    let sandbox = Sandbox::new();
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/golden/export_tiny");
    for file in std::fs::read_dir(tiny).unwrap().flatten() {
        let name = file.file_name().into_string().unwrap();
        let mut bytes = std::fs::read(file.path()).unwrap();
        if name == "config.json" {
            let mut config: Value = serde_json::from_slice(&bytes).unwrap();
            config["max_position_embeddings"] = json!(4096);
            bytes = config.to_string().into_bytes();
        }
        if name == "tokenizer.json" {
            let mut tokenizer: Value = serde_json::from_slice(&bytes).unwrap();
            let merges = tokenizer["model"]["merges"].as_array_mut().unwrap();
            let kept = merges.len() - 2;
            merges.truncate(kept);
            merges.extend([json!(["Ġ", "A"]), json!(["Ġ", "B"])]);
            let vocab = tokenizer["model"]["vocab"].as_object_mut().unwrap();
            vocab.retain(|_, id| id.as_u64().is_some_and(|id| id < 286));
            vocab.extend([("ĠA".to_owned(), json!(286)), ("ĠB".to_owned(), json!(287))]);
            bytes = tokenizer.to_string().into_bytes();
        }
        sandbox.write(&format!("base/{name}"), bytes);
    }
    sandbox.write("constitution.toml", CONSTITUTION);
    sandbox
}

const RUN: [&str; 12] = [
    "run",
    "constitutional",
    "-Smodel=base",
    "-Sconstitution=constitution.toml",
    "-Scount=40",
    "-Sitems=20",
    "-Scontext=128",
    "-Sbatch=2",
    "-Ssteps=60",
    "-Sdevice=flex",
    "-Sin_doubt=continue",
    "--name=made",
];

#[test]
fn a_pipeline_that_is_killed_gives_the_bytes_of_an_undisturbed_one() {
    let whole = prepared();
    whole.stepwell(&RUN).ok();
    let killed = prepared();
    let mut engine = killed.start(&RUN);
    for round in 0..8_u64 {
        std::thread::sleep(Duration::from_millis(300 + 130 * round));
        kill_with_workers(&mut engine);
        engine = killed.start(&["resume", "last"]);
    }
    engine.wait().unwrap();
    assert_eq!(whole.digests(), killed.digests());
}

#[test]
fn a_chat_tuned_model_ends_the_run_with_its_code() {
    let sandbox = prepared();
    sandbox.write("base/chat_template.jinja", "{% for m in messages %}{{ m.content }}{% endfor %}");
    let failed = sandbox.stepwell(&RUN);
    assert!(failed.stderr.contains("(chat_tuned_model)"), "{}", failed.stderr);
    assert_eq!(sandbox.query("SELECT count(*) FROM attempt WHERE step = 'train'"), ["0"]);
}
