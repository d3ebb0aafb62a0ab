//! `stepwell bench infer` from the command line: alone, next to a stand-in for a library, and what it refuses.

use std::os::unix::fs::PermissionsExt;

use crate::harness::Sandbox;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/golden/export_tiny");
const SMALL: [&str; 12] = [
    "bench",
    "infer",
    MODEL,
    "--prompt",
    "8",
    "--new-tokens",
    "4",
    "--long-prompt",
    "20",
    "--threads",
    "1",
    "--rounds",
];

#[test]
fn every_form_and_batch_has_its_figures() {
    let mut args = SMALL.to_vec();
    args.extend(["2", "--batch", "1,3", "--output", "json", "--state-dir", "never"]);
    let sandbox = Sandbox::new();
    let found = sandbox.stepwell(&args).ok().json();
    assert_eq!((&found["schema"], &found["bench"]), (&1.into(), &"infer".into()));
    for dtype in ["f32", "bf16", "q8_0"] {
        for (name, unit) in [("batch_1", "tok/s"), ("batch_3", "tok/s"), ("prefill", "tok/s"), ("bound", "tok/s")] {
            let figure = &found["report"]["figures"][format!("{dtype}_{name}")];
            assert_eq!((&figure["unit"], figure["samples"].as_array().unwrap().len()), (&unit.into(), 2), "{figure}");
            assert!(figure["median"].as_f64().unwrap() > 0.0, "{figure}");
        }
    }
    let goals: Vec<&str> =
        found["report"]["ratios"].as_array().unwrap().iter().map(|ratio| ratio["name"].as_str().unwrap()).collect();
    assert_eq!(goals, ["q8_0_batch_1 / q8_0_bound", "f32_prefill / prefill_bound"], "goals of what was measured");
    assert!(!sandbox.path("never").exists(), "measuring leaves nothing behind");
}

/// A stand-in for `scripts/bench_infer.py`: half a second per turn, and one token of its own.
const STAND_IN: &str = r#"#!/bin/sh
echo '{"ready":{"version":"stand-in"}}'
cp "$2/infer.json" "$(dirname "$0")/material"
[ "$3" = llama-cpp ] && head -c 4 "$2/model.gguf" > "$(dirname "$0")/magic"
while read -r name number; do
  echo "$3 $name $number" >> "$(dirname "$0")/requests"
  echo '{"seconds":0.5,"tokens":[[999999]]}'
done
"#;

fn interpreter(sandbox: &Sandbox, script: &str) -> String {
    let path = sandbox.write("interpreter/python", script);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn libraries_compute_the_same_prompts_in_turns() {
    let sandbox = Sandbox::new();
    let python = interpreter(&sandbox, STAND_IN);
    let mut args = SMALL.to_vec();
    args.extend(["1", "--batch", "1,2", "--dtype", "f32,q8_0", "--against", "transformers,llama-cpp"]);
    args.extend(["--python", &python, "--output", "json"]);
    let report = sandbox.stepwell(&args).ok().json()["report"].clone();
    let read = |name: &str| std::fs::read_to_string(sandbox.path("interpreter").join(name)).unwrap();
    let requests = read("requests");
    let of = |library: &str| -> Vec<String> {
        let own = requests.lines().filter_map(|line| line.strip_prefix(library));
        own.map(|line| line.trim().to_owned()).collect()
    };
    assert_eq!(of("transformers"), ["decode 1", "decode 1", "decode 2", "prefill"]);
    assert_eq!(of("llama-cpp"), ["decode 1", "decode 1", "prefill"], "the bindings decode one row at a time");
    assert_eq!(read("magic"), "GGUF", "the model is written for llama.cpp");
    let material: serde_json::Value = serde_json::from_str(&read("material")).unwrap();
    assert_eq!((material["prompts"].as_array().unwrap().len(), &material["new_tokens"]), (2, &4.into()));

    let median = |name: &str| report["figures"][name]["median"].as_f64().unwrap();
    assert_eq!((median("transformers_batch_1"), median("transformers_batch_2")), (8.0, 16.0), "new tokens / 0.5 s");
    assert_eq!((median("llama_cpp_batch_1"), median("llama_cpp_prefill")), (8.0, 40.0));
    assert_eq!((median("transformers_equal_1"), median("llama_cpp_equal_1")), (0.0, 0.0), "none of its tokens is ours");
    let goals = report["ratios"].as_array().unwrap();
    assert!(goals.iter().any(|goal| goal["name"] == "q8_0_batch_1 / llama_cpp_batch_1"), "{goals:?}");
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let sandbox = Sandbox::new();
    let refused = |more: &[&str]| sandbox.stepwell(&[&SMALL[..], &["1"], more].concat()).exits(2);
    let long = ["bench", "infer", MODEL, "--new-tokens", "4", "--long-prompt", "62"];
    sandbox.stepwell(&long).exits(2).says(&["62 tokens of a prompt and 5 new ones do not fit a context of 64"]);
    refused(&["--against", "transformers", "--python", "no-such-python"]).says(&["cannot start `no-such-python`"]);
    refused(&["--against", "vllm"]).says(&["vllm", "transformers", "llama-cpp"]);
    sandbox.stepwell(&["bench", "infer", "no-such-model"]).exits(2).says(&["no-such-model"]);
}
