//! Supervised tuning of a model from elsewhere, over kills of all processes.

use std::path::Path;
use std::time::Duration;

use crate::harness::{Sandbox, kill_with_workers};

const TEMPLATE: &str = "{% for m in messages %}{{ m.role + ':\\n' + m.content }}\
                        {% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}\
                        {% if add_generation_prompt %}{{ 'assistant:\\n' }}{% endif %}";

/// A folder with the model `base` and the file `rows.jsonl`.
fn prepared() -> Sandbox {
    let sandbox = Sandbox::new();
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/golden/export_tiny");
    for file in std::fs::read_dir(tiny).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap();
        sandbox.write(&format!("base/{name}"), std::fs::read(&path).unwrap());
    }
    sandbox.write("base/chat_template.jinja", TEMPLATE);
    let row = |number: u32| {
        let answer = "again ".repeat(1 + number as usize % 5);
        serde_json::json!({ "messages": [
            { "role": "user", "content": format!("number {number}") },
            { "role": "assistant", "content": format!("{number} {answer}") },
        ] })
    };
    let rows: Vec<String> = (0..40).map(|number| row(number).to_string()).collect();
    sandbox.write("rows.jsonl", rows.join("\n"));
    sandbox
}

const RUN: [&str; 11] = [
    "run",
    "sft",
    "-Smodel=base",
    "-Srows=rows.jsonl",
    "-Scontext=64",
    "-Sbatch=2",
    "-Saccumulation=2",
    "-Ssteps=1500",
    "-Sdevice=flex",
    "-Slearning_rate=1e-3",
    "--name=tuned",
];

#[test]
fn a_tuning_that_is_killed_gives_the_bits_of_an_undisturbed_one() {
    let whole = prepared();
    whole.stepwell(&RUN).ok();
    let killed = prepared();
    let mut engine = killed.start(&RUN);
    for round in 0..5_u64 {
        std::thread::sleep(Duration::from_millis(500 + 170 * round));
        kill_with_workers(&mut engine);
        engine = killed.start(&["resume", "last"]);
    }
    engine.wait().unwrap();
    assert_eq!(whole.digests(), killed.digests());
    assert_eq!(killed.query("SELECT count(*) > 1 FROM attempt WHERE step = 'train'"), ["1"], "it was killed");
    let loss = "SELECT loss FROM metric WHERE step = 'train' ORDER BY train_step";
    let losses: Vec<f64> = whole.query(loss).iter().map(|loss| loss.parse().unwrap()).collect();
    assert!(losses[losses.len() - 1] < losses[0] / 2.0, "{} after {}", losses[losses.len() - 1], losses[0]);
}

#[test]
fn a_preview_shows_what_is_learned_and_why_a_row_is_not() {
    let sandbox = prepared();
    sandbox.write("bad.jsonl", "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":\"y z\"}]}\n\n{\"prompt\":\"x\"}\n");
    let shown = sandbox.stepwell(&["data", "preview", "bad.jsonl", "--model", "base"]).ok().stdout;
    assert!(shown.contains("line 1: ") && shown.contains("<eos>|\\n]]"), "{shown}");
    assert!(shown.contains("line 3 cannot be learned: it has `prompt`, but no `completion`"), "{shown}");
    let json = sandbox
        .stepwell(&["data", "preview", "bad.jsonl", "--model", "base", "--output", "json", "-n", "1"])
        .ok()
        .json();
    let tokens = json["rows"][0]["tokens"].as_array().unwrap();
    let learned: String =
        tokens.iter().filter(|token| token["learned"] == true).map(|token| token["text"].as_str().unwrap()).collect();
    assert_eq!(learned, "y z<eos>\n");
}
