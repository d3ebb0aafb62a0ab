//! Training end to end on a tiny model: exact resume, damaged checkpoints, divergence, export.

use serde_json::Value;

use crate::harness::{Sandbox, children, eventually, signal};

/// Many steps with a checkpoint at every tenth, so that kills come between checkpoints.
const LONG: [&str; 6] = ["-S", "steps=120", "-S", "documents=120", "-S", "checkpoint_every=10"];

/// Muon updates the matrices of blocks, AdamW the rest: both have state to lose.
const MUON: [&str; 2] = ["-S", "optimizer=muon"];

fn run(sandbox: &Sandbox, more: &[&str]) -> crate::harness::Finished {
    sandbox.stepwell(&[&["run", "smoke"], &LONG[..], more].concat())
}

fn start(sandbox: &Sandbox, more: &[&str]) -> std::process::Child {
    sandbox.start(&[&["run", "smoke"], &LONG[..], more].concat())
}

fn checkpoint_reached(sandbox: &Sandbox, step: u64) -> bool {
    if !sandbox.state().join("stepwell.db").exists() || sandbox.query_count("checkpoint") == 0 {
        return false;
    }
    let rows = sandbox.query("SELECT coalesce(max(last_step), 0) FROM checkpoint WHERE step = 'train'");
    rows[0].parse::<u64>().unwrap_or(0) >= step
}

#[test]
fn killed_and_resumed_equals_uninterrupted_bit_for_bit() {
    let whole = Sandbox::new();
    run(&whole, &MUON).ok();
    let killed = Sandbox::new();
    let mut engine = start(&killed, &MUON);
    for (round, step) in [20, 40, 60, 80].into_iter().enumerate() {
        eventually("the next checkpoint", || checkpoint_reached(&killed, step));
        if round % 2 == 0 {
            engine.kill().unwrap();
            engine.wait().unwrap();
            engine = killed.start(&["resume", "last"]);
        } else {
            for worker in children(engine.id()) {
                signal(worker, "KILL");
            }
        }
    }
    assert!(engine.wait().unwrap().success());
    assert_eq!(whole.digests(), killed.digests());
    let metrics = "SELECT train_step || ' ' || loss || ' ' || learning_rate FROM metric ORDER BY train_step";
    assert_eq!(whole.query(metrics), killed.query(metrics), "no missing, duplicate or different metric row");
    assert_eq!(killed.query("SELECT count(*) FROM metric"), ["120"]);
}

#[test]
fn sigterm_writes_a_checkpoint_and_resume_goes_on_from_it() {
    let whole = Sandbox::new();
    run(&whole, &[]).ok();
    let stopped = Sandbox::new();
    let mut engine = start(&stopped, &[]);
    eventually("training runs", || checkpoint_reached(&stopped, 10));
    signal(engine.id(), "TERM");
    assert_eq!(engine.wait().unwrap().code(), Some(130));
    assert_eq!(stopped.show()["run"]["status"], "interrupted");
    stopped.stepwell(&["resume", "last"]).ok();
    assert_eq!(whole.digests(), stopped.digests());
    let told = stopped.stepwell(&["watch", "last", "--output", "json"]).ok().stdout;
    let told = told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let steps = told.filter(|line| line["type"] == "metric").map(|line| line["metric"]["train_step"].as_u64().unwrap());
    assert!(steps.eq(1..=120), "each metric once, also of a run that has ended");
}

#[test]
fn next_to_a_worker_a_training_tells_its_metrics_and_its_export() {
    let sandbox = Sandbox::new();
    let mut worker = sandbox.start(&["worker"]);
    eventually("the worker is there", || stepwell_store::EngineLock::holder(&sandbox.state()).is_some());
    let told = run(&sandbox, &["--output", "json"]).ok();
    let lines: Vec<Value> = told.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let metrics = lines.iter().filter(|line| line["type"] == "metric");
    assert!(metrics.map(|line| line["metric"]["train_step"].as_u64().unwrap()).eq(1..=120), "{}", told.stdout);
    let folder = lines.last().unwrap()["exports"][0].as_str().unwrap();
    assert!(std::path::Path::new(folder).join("model.safetensors").exists(), "{folder}");
    worker.kill().unwrap();
    worker.wait().unwrap();
}

#[test]
fn a_truncated_newest_checkpoint_is_passed_over_with_a_note() {
    let whole = Sandbox::new();
    run(&whole, &[]).ok();
    let damaged = Sandbox::new();
    let mut engine = start(&damaged, &[]);
    eventually("two checkpoints", || checkpoint_reached(&damaged, 30));
    engine.kill().unwrap();
    engine.wait().unwrap();
    let digest =
        damaged.query("SELECT digest FROM checkpoint WHERE step = 'train' ORDER BY last_step DESC LIMIT 1").remove(0);
    let blobs = damaged.state().join("artifacts/blobs");
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(blobs.join(&digest[..2]).join(&digest)).unwrap()).unwrap();
    let weights = find_digest(&manifest, "weights").expect("the manifest names the weights");
    let path = blobs.join(&weights[..2]).join(&weights);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    damaged.stepwell(&["resume", "last"]).ok().says(&["checkpoint", &weights[..8]]);
    assert_eq!(whole.digests(), damaged.digests());
}

/// The digest of the manifest's entry whose path holds `word`.
fn find_digest(manifest: &Value, word: &str) -> Option<String> {
    match manifest {
        Value::Object(fields) => fields.iter().find_map(|(name, value)| {
            let digest = value.get("digest").and_then(Value::as_str);
            if name.contains(word) { digest.map(str::to_owned) } else { find_digest(value, word) }
        }),
        Value::Array(entries) => entries.iter().find_map(|entry| {
            let named = entry.get("path").and_then(Value::as_str).is_some_and(|path| path.contains(word));
            let digest = entry.get("digest").and_then(Value::as_str);
            if named { digest.map(str::to_owned) } else { find_digest(entry, word) }
        }),
        _ => None,
    }
}

#[test]
fn a_broken_learning_rate_fails_the_run() {
    let sandbox = Sandbox::new();
    run(&sandbox, &["-S", "learning_rate=nan"]).exits(2).says(&["learning_rate", "must be a number"]);
    let diverging = Sandbox::new();
    run(&diverging, &["-S", "learning_rate=1e30"]).exits(3).says(&["diverged", "hint:"]);
}

#[test]
fn a_context_longer_than_the_whole_text_is_refused() {
    let sandbox = Sandbox::new();
    run(&sandbox, &["-S", "context=60000"]).exits(3).says(&["60000", "document", "hint:"]);
    run(&Sandbox::new(), &["-S", "context=100000"]).exits(2).says(&["100000", "rope_theta"]);
}

#[test]
fn the_export_is_a_hugging_face_folder_and_generation_works() {
    let sandbox = Sandbox::new();
    run(&sandbox, &[]).ok();
    let exports = std::fs::read_dir(sandbox.path("exports")).unwrap().next().unwrap().unwrap().path();
    let folder = exports.join("export");
    for file in ["config.json", "model.safetensors", "tokenizer.json", "generation_config.json"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    let config: Value = serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["architectures"][0], "LlamaForCausalLM");
    let generate = ["generate", "last", "--prompt", "The ", "-n", "12", "--seed", "3"];
    let text = sandbox.stepwell(&generate).ok().stdout;
    assert!(text.starts_with("The "), "{text}");
    assert_eq!(text, sandbox.stepwell(&generate).ok().stdout, "equal seeds give equal text");
}
