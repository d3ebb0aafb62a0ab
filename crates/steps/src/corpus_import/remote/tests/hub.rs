//! Tests datasets of the hub against a server that speaks its protocol.

use serde_json::json;

use super::server::{File, Server};
use crate::StepError;
use crate::corpus_import::remote::{Access, Place, Reach, fetch};
use crate::tests::{Recorder, StepLab};
use stepwell_base::failure::Failure;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn sha1(bytes: &[u8]) -> String {
    let framed = [format!("blob {}\0", bytes.len()).into_bytes(), bytes.to_vec()].concat();
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &framed);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(bytes: &[u8]) -> String {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A dataset of two files in Git and one in large file storage, listed in two pages.
fn hub() -> Server {
    let server = Server::start();
    let api = "/api/datasets/o/n";
    server.json(&format!("{api}/revision/main"), &json!({"sha": COMMIT, "private": false}));
    let entry =
        |path: &str, bytes: &[u8]| json!({"type": "file", "path": path, "size": bytes.len(), "oid": sha1(bytes)});
    let folder = |path: &str| json!({"type": "directory", "path": path, "size": 0, "oid": "x"});
    let large = json!({"type": "file", "path": "data/b.jsonl", "size": 16, "oid": "pointer",
        "lfs": {"oid": sha256(b"{\"text\": \"two\"}\n"), "size": 16, "pointerSize": 130}});
    let files: [(&str, &[u8]); 3] = [
        ("README.md", b"# about"),
        ("data/a.jsonl", b"{\"text\": \"one\"}\n"),
        ("data/b.jsonl", b"{\"text\": \"two\"}\n"),
    ];
    for (path, bytes) in files {
        server.put(&format!("/datasets/o/n/resolve/{COMMIT}/{path}"), File::new(bytes, path));
    }
    let tree = format!("{api}/tree/{COMMIT}");
    server.json(&tree, &json!([folder("data"), entry("README.md", files[0].1)]));
    let second = format!("{tree}/data?recursive=true&cursor=2");
    let next = format!("<{}{second}>; rel=\"next\"", server.url);
    let first = json!([entry("data/a.jsonl", files[1].1), entry("data/ignored.bin", b"1")]).to_string().into_bytes();
    server.put(
        &format!("{tree}/data?recursive=true"),
        File { bytes: first, headers: vec![("link", next)], ..File::default() },
    );
    server.json(&second, &json!([large.clone()]));
    server.json(&format!("{tree}/data"), &json!([entry("data/a.jsonl", files[1].1), large]));
    server
}

fn fetched(server: &Server, lab: &StepLab, source: &str) -> Result<Vec<(String, String)>, Failure> {
    let place = Place::parse(source).unwrap().unwrap();
    let access = Access { reach: Reach::Any, token: None, max_bytes: 1 << 20, endpoint: server.url.clone() };
    let got = lab.attempt(&json!({}), &mut Recorder::default(), |context| fetch(context, source, &place, &access));
    match got {
        Ok(got) => Ok(got
            .into_iter()
            .map(|fetched| (fetched.file.name.clone(), std::fs::read_to_string(&fetched.file.path).unwrap()))
            .collect()),
        Err(StepError::Failed(failure)) => Err(failure),
        Err(StepError::Interrupted) => panic!("nobody interrupted"),
    }
}

#[test]
fn files_folders_and_globs_of_a_dataset_are_read_at_one_commit() {
    let server = hub();
    let (one, two) = (("a.jsonl", "{\"text\": \"one\"}\n"), ("b.jsonl", "{\"text\": \"two\"}\n"));
    for (path, expected) in [
        ("/data", vec![one, two]),
        ("/data/b.jsonl", vec![two]),
        ("/data/*.jsonl", vec![one, two]),
        ("/README.md", vec![("README.md", "# about")]),
    ] {
        let got = fetched(&server, &StepLab::new(), &format!("hf://datasets/o/n@main{path}")).unwrap();
        let expected: Vec<(String, String)> =
            expected.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
        assert_eq!(got, expected, "{path}");
    }
}

/// A later attempt must not see a newer commit beside the files of an older one.
#[test]
fn a_later_attempt_stays_at_the_commit_of_the_first() {
    let (server, lab) = (hub(), StepLab::new());
    let missing = format!("/datasets/o/n/resolve/{COMMIT}/data/b.jsonl");
    let kept = server.files.lock().unwrap().remove(&missing).unwrap();
    let failure = fetched(&server, &lab, "hf://datasets/o/n@main/data").unwrap_err();
    assert!(failure.message.contains("the server has no ") && failure.message.contains("data/b.jsonl"), "{failure}");
    server.put(&missing, kept);
    server.json("/api/datasets/o/n/revision/main", &json!({"sha": "f".repeat(40)}));
    assert_eq!(fetched(&server, &lab, "hf://datasets/o/n@main/data").unwrap().len(), 2);
    let listed = server.seen().iter().filter(|seen| seen.path.contains("/revision/")).count();
    assert_eq!(listed, 1);
}

#[test]
fn content_that_is_not_that_of_the_commit_is_refused() {
    for path in ["data/a.jsonl", "data/b.jsonl"] {
        let (server, lab) = (hub(), StepLab::new());
        server.put(&format!("/datasets/o/n/resolve/{COMMIT}/{path}"), File::new(b"{\"text\": \"bad\"}\n", "x"));
        let failure = fetched(&server, &lab, &format!("hf://datasets/o/n@main/{path}")).unwrap_err();
        let name = if path.ends_with("a.jsonl") { "Git object id" } else { "SHA-256" };
        assert!(failure.message.contains(&format!("has the {name} ")), "{failure}");
    }
}

#[test]
fn odd_answers_of_a_hub_are_refused() {
    let (server, lab) = (hub(), StepLab::new());
    for (source, message) in [
        ("hf://datasets/o/other@main/data", "the hub has no o/other at revision main"),
        ("hf://datasets/o/n@v9/data", "the hub has no o/n at revision v9"),
        ("hf://datasets/o/n@main/data/c.jsonl", "o/n has no data/c.jsonl"),
        ("hf://datasets/o/n@main/data/*.csv", "there is no file to import"),
    ] {
        let failure = fetched(&server, &lab, source).unwrap_err();
        assert!(failure.message.contains(message), "{source}: {failure}");
        assert!(failure.hint.is_some());
    }
    server.json("/api/datasets/o/n/revision/main", &json!({"sha": "../../etc"}));
    assert!(
        fetched(&server, &lab, "hf://datasets/o/n@main/data").unwrap_err().message.contains("no hexadecimal number")
    );
    server.put("/api/datasets/o/n/revision/main", File::new(b"<html>", "x"));
    assert!(
        fetched(&server, &lab, "hf://datasets/o/n@main/data").unwrap_err().message.contains("does not answer like")
    );
    let away = vec![("link", "<http://127.0.0.1:1/x>; rel=\"next\"".to_owned())];
    server.json("/api/datasets/o/n/revision/main", &json!({"sha": COMMIT}));
    let tree = format!("/api/datasets/o/n/tree/{COMMIT}/data?recursive=true");
    server.put(&tree, File { bytes: b"[]".to_vec(), headers: away, ..File::default() });
    assert!(fetched(&server, &lab, "hf://datasets/o/n@main/data").unwrap_err().message.contains("another server"));
}
