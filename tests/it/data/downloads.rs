//! SIGKILL, changes and a missing file while a run downloads.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::server::Server;
use crate::harness::{Sandbox, eventually};

const WORKFLOW: &str = r#"
name = "fetch"
[params]
corpus = []
[[step]]
id = "import"
kind = "corpus.import"
retry = 1
with = { source = "{{ params.corpus }}", allow_private = true }
[[step]]
id = "clean"
kind = "corpus.clean"
with = { documents = "{{ steps.import.outputs.documents }}", near_duplicates = 0.8, contamination_words = 13, rules = ["gopher_repetition"] }
"#;

/// About 60 MB of JSON lines; the download makes 32 MiB durable once.
fn content() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut state = 7u64;
    for _ in 0..100_000 {
        bytes.extend_from_slice(b"{\"text\": \"");
        for _ in 0..90 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bytes.extend_from_slice(format!("w{} ", state >> 48).as_bytes());
        }
        bytes.extend_from_slice(b"\"}\n");
    }
    bytes
}

fn run(sandbox: &Sandbox, server: &Server) -> Vec<(String, String)> {
    let corpus = format!("corpus=[\"{}/a.jsonl\"]", server.url);
    sandbox.stepwell(&["run", "fetch.toml", "-S", &corpus]).ok();
    sandbox.digests()
}

#[test]
fn a_kill_in_mid_download_costs_at_most_what_was_not_durable() {
    let content = content();
    let length = content.len() as u64;
    let sandbox = Sandbox::new();
    sandbox.write("fetch.toml", WORKFLOW);
    let server = Server::start(content.clone(), Duration::from_millis(1));
    let corpus = format!("corpus=[\"{}/a.jsonl\"]", server.url);
    let mut engine = sandbox.start(&["run", "fetch.toml", "-S", &corpus]);
    eventually("more than 40 MiB are sent", || server.sent() > 40 << 20);
    engine.kill().unwrap();
    engine.wait().unwrap();
    assert!(server.sent() < length, "the kill came too late");
    sandbox.stepwell(&["resume", "last"]).ok();
    let sent = server.sent();
    assert!(sent < length + (20 << 20), "{sent} bytes for a file of {length}");
    let whole = Sandbox::new();
    whole.write("fetch.toml", WORKFLOW);
    assert_eq!(sandbox.digests(), run(&whole, &server));
    let show = sandbox.stepwell(&["show", "last", "clean"]).ok();
    assert!(show.stdout.contains("after normalisation"), "{}", show.stdout);
}

#[test]
fn a_changed_or_missing_file_fails_the_step_and_publishes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("fetch.toml", WORKFLOW);
    let server = Server::start(content(), Duration::from_millis(1));
    let corpus = format!("corpus=[\"{}/a.jsonl\"]", server.url);
    let mut engine = sandbox.start(&["run", "fetch.toml", "-S", &corpus]);
    eventually("more than 40 MiB are sent", || server.sent() > 40 << 20);
    engine.kill().unwrap();
    engine.wait().unwrap();
    *server.shared.etag.lock().unwrap() = "\"v2\"".to_owned();
    let failed = sandbox.stepwell(&["resume", "last"]);
    assert_eq!(failed.code, 3, "{}", failed.stderr);
    assert!(failed.stderr.contains("changed on the server during the download"), "{}", failed.stderr);
    let sent = server.shared.sent.load(Ordering::SeqCst);
    sandbox.stepwell(&["retry", "last"]).ok();
    assert!(server.sent() > sent);
    let corpus = format!("corpus=[\"{0}/a.jsonl\", \"{0}/missing.jsonl\"]", server.url);
    let failed = sandbox.stepwell(&["run", "fetch.toml", "-S", &corpus]);
    assert_eq!(failed.code, 3);
    assert!(
        failed.stderr.contains("the server has no ") && failed.stderr.contains("missing.jsonl"),
        "{}",
        failed.stderr
    );
    assert_eq!(sandbox.show()["steps"][0]["outputs"], serde_json::json!({}));
}
