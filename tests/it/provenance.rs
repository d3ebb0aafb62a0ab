//! Checks the provenance of artifacts without the state that made them (row E18).

use std::fs;

use serde_json::{Value, json};

use crate::harness::Sandbox;

/// An import, a fan-out over values, and a folder made of all its outputs.
const FLOW: &str = r#"
name = "flow"
[params]
seed = 7
[[step]]
id = "import"
kind = "command"
with = { shell = "cp SOURCE \"$STEPWELL_OUTPUT_DIR/text\"; echo '{\"names\": [\"x\", \"y\"]}' > \"$STEPWELL_VALUES\"", inputs = ["SOURCE"], outputs = { text = "text" } }
[[step]]
id = "each"
kind = "command"
for_each = "steps.import.values.names"
with = { shell = "{ echo \"$NAME $SAMPLE_SEED\"; cat \"$TEXT\"; } > \"$STEPWELL_OUTPUT_DIR/out\"", env = { NAME = "{{ item }}", SAMPLE_SEED = "{{ params.seed }}", TEXT = "{{ steps.import.outputs.text }}" }, outputs = { out = "out" } }
[[step]]
id = "join"
kind = "command"
with = { argv = ["/bin/sh", "-c", "mkdir \"$STEPWELL_OUTPUT_DIR/all\"; cp \"$1\" \"$STEPWELL_OUTPUT_DIR/all/one\"; cp \"$2\" \"$STEPWELL_OUTPUT_DIR/all/two\"", "join", "{{ steps.each.outputs.out[0] }}", "{{ steps.each.outputs.out[1] }}"], outputs = { all = "all" } }
"#;

fn flow() -> Sandbox {
    let sandbox = Sandbox::new();
    let source = sandbox.write("source.txt", "raw text\n");
    sandbox.write("flow.toml", FLOW.replace("SOURCE", source.to_str().unwrap()));
    sandbox.stepwell(&["run", "flow.toml"]).ok();
    sandbox
}

/// Simulates another machine: it has the manifest and a copy, but no state.
fn elsewhere(sandbox: &Sandbox) -> (Sandbox, Value) {
    let other = Sandbox::new();
    let (manifest, copy) = (other.path("manifest.json"), other.path("copy"));
    sandbox.stepwell(&["artifact", "provenance", "last/join/all", "--out", manifest.to_str().unwrap()]).ok();
    sandbox.stepwell(&["artifact", "get", "last/join/all", copy.to_str().unwrap()]).ok();
    let value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
    (other, value)
}

#[test]
fn a_manifest_names_every_step_back_to_the_import() {
    let sandbox = flow();
    let (other, manifest) = elsewhere(&sandbox);
    let nodes = manifest["nodes"].as_array().unwrap();
    let steps: Vec<&str> = nodes.iter().map(|node| node["step"].as_str().unwrap()).collect();
    assert_eq!((steps.first(), steps.last(), steps.len()), (Some(&"import"), Some(&"join"), 4), "{steps:?}");
    assert!(nodes[0]["inputs"].as_array().unwrap().is_empty());
    let imported = nodes[0]["fingerprint"].to_string();
    assert!(imported.contains(blake3::hash(b"raw text\n").to_hex().as_str()), "{imported}");
    assert_eq!(nodes[1]["seeds"], json!({ "env.SAMPLE_SEED": 7 }));
    let environment = nodes[3]["attempts"][0]["environment"].as_str().unwrap();
    let environment = &manifest["environments"][environment];
    assert_eq!(environment["os"], std::env::consts::OS);
    assert!(environment["threads"].as_u64().unwrap() > 0 && environment["code"].is_string());
    let checked = other.stepwell(&["artifact", "verify", "--provenance", "manifest.json", "copy"]).ok();
    assert!(checked.stdout.contains("4 steps"), "{}", checked.stdout);
    assert!(!other.state().exists());
}

#[test]
fn every_change_of_copy_or_manifest_is_found() {
    let (other, manifest) = elsewhere(&flow());
    let verify = || other.stepwell(&["artifact", "verify", "--provenance", "manifest.json", "copy"]);
    let text = fs::read(other.path("copy/one")).unwrap();
    let mut flipped = text.clone();
    flipped[0] ^= 1;
    fs::remove_file(other.path("copy/one")).unwrap();
    fs::write(other.path("copy/one"), flipped).unwrap();
    assert!(verify().exits(3).stdout.contains("copy/one"));
    fs::write(other.path("copy/one"), text).unwrap();
    other.write("copy/more", "x");
    assert!(verify().exits(3).stdout.contains("not part of the artifact"));
    fs::remove_file(other.path("copy/more")).unwrap();
    verify().ok();
    let mut other_seed = manifest.clone();
    other_seed["nodes"][1]["with"]["env"]["SAMPLE_SEED"] = json!(8);
    let mut other_digest = manifest.clone();
    other_digest["nodes"][0]["outputs"]["text"]["digest"] = json!("0".repeat(64));
    let mut other_environment = manifest.clone();
    other_environment["environments"] = json!({});
    for (changed, problem) in [
        (other_seed, "its arguments do not give its key"),
        (other_digest, "no step before it has made its input"),
        (other_environment, "is missing"),
    ] {
        other.write("manifest.json", changed.to_string());
        let said = verify().exits(3).stdout;
        assert!(said.contains(problem) && said.contains("the manifest was changed"), "{said}");
    }
    other.write("manifest.json", "{\"version\": 99}");
    verify().exits(2).says(&["version 99"]);
}

#[test]
fn a_reused_step_shows_the_attempts_that_did_the_work() {
    let sandbox = flow();
    let first = sandbox.show()["run"]["id"].clone();
    sandbox.stepwell(&["run", "flow.toml"]).ok();
    let (other, manifest) = elsewhere(&sandbox);
    let node = &manifest["nodes"][3];
    assert_ne!(node["run"], first);
    assert_eq!(node["executed_in"], first);
    assert_eq!(node["attempts"].as_array().unwrap().len(), 1);
    other.stepwell(&["artifact", "verify", "--provenance", "manifest.json", "copy"]).ok();
    // After the run that did the work is pruned, the work is still known, without its attempts.
    sandbox.stepwell(&["gc", "--keep-runs", "1"]).ok();
    let (other, manifest) = elsewhere(&sandbox);
    assert_eq!(manifest["nodes"][3]["executed_in"], first);
    assert!(manifest["nodes"][3]["attempts"].as_array().unwrap().is_empty());
    other.stepwell(&["artifact", "verify", "--provenance", "manifest.json", "copy"]).ok();
}

#[test]
fn verify_says_what_a_damaged_file_belongs_to_and_what_to_do() {
    let sandbox = flow();
    let digest = sandbox.digests().into_iter().find(|(name, _)| name == "import/text").unwrap().1;
    let path = sandbox.state().join("artifacts/blobs").join(&digest[..2]).join(&digest);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "raw texU\n").unwrap();
    let run = sandbox.show()["run"]["id"].as_str().unwrap().to_owned();
    let said = sandbox.stepwell(&["artifact", "verify"]).exits(3).stdout;
    for words in [&format!("output {run}/import/text"), path.to_str().unwrap(), "is damaged", "run the workflow again"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    fs::remove_file(&path).unwrap();
    let value = sandbox.stepwell(&["artifact", "verify", "last", "--output", "json"]).exits(3).json();
    assert_eq!(value["damaged"][0]["step"], "import");
    assert_eq!(value["damaged"][0]["artifact"], digest.as_str());
    sandbox.stepwell(&["run", "flow.toml"]).ok();
    sandbox.stepwell(&["artifact", "verify"]).ok();
}
