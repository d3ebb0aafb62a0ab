//! Tests downloads: resuming, changes on the server, limits, and who is asked.

use std::cell::Cell;

use serde_json::{Value, json};

use super::server::{File, Server};
use crate::corpus_import::CORPUS_IMPORT;
use crate::tests::{Recorder, StepLab};
use crate::{StepError, StepHandler};
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::{Failure, FailureKind};

const PATH: &str = "/data/a.jsonl";

/// JSON lines of about 1.2 MB.
fn content() -> Vec<u8> {
    (0..20_000)
        .flat_map(|n| format!("{{\"text\": \"document number {n} of this file, padded\"}}\n").into_bytes())
        .collect()
}

fn with(server: &Server, change: Value) -> Value {
    let mut with = json!({"source": format!("{}{PATH}", server.url), "allow_private": true});
    with.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    with
}

fn import(lab: &StepLab, with: &Value) -> Result<Outputs, Failure> {
    lab.run(&CORPUS_IMPORT, with)
}

fn sha256(bytes: &[u8]) -> String {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn left_over(lab: &StepLab) -> Vec<String> {
    let files = walkdir::WalkDir::new(lab.scratch().join("downloads")).into_iter().flatten();
    files.filter(|entry| entry.file_type().is_file()).map(|entry| entry.path().display().to_string()).collect()
}

#[test]
fn a_file_on_a_server_gives_the_documents_of_the_same_file_here() {
    let (server, lab) = (Server::start(), StepLab::new());
    server.put(PATH, File::new(&content(), "v1"));
    let outputs = import(&lab, &with(&server, json!({}))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.jsonl"), content()).unwrap();
    let local = import(&StepLab::new(), &json!({"source": folder.path().join("a.jsonl")})).unwrap();
    assert_eq!(outputs.artifacts["documents"], local.artifacts["documents"]);
    let fetched = &outputs.values["fetched"][0];
    assert_eq!(fetched["sha256"], sha256(&content()));
    assert_eq!((&fetched["etag"], &fetched["bytes"]), (&json!("\"v1\""), &json!(content().len())));
    assert_eq!(server.ranges(PATH), [None]);
}

#[test]
fn dropped_connections_resume_where_they_ended() {
    let (server, lab) = (Server::start(), StepLab::new());
    server.put(PATH, File { drops: vec![300_000, 1000, 0, 500_000], ..File::new(&content(), "v1") });
    let outputs = import(&lab, &with(&server, json!({}))).unwrap();
    assert_eq!(outputs.values["fetched"][0]["sha256"], sha256(&content()));
    let ranges: Vec<Option<String>> = [None, Some(300_000), Some(301_000), Some(301_000), Some(801_000)]
        .map(|at| at.map(|at| format!("bytes={at}-")))
        .to_vec();
    assert_eq!(server.ranges(PATH), ranges);
}

#[test]
fn a_later_attempt_resumes_and_checks_what_an_earlier_one_left() {
    let (server, lab) = (Server::start(), StepLab::new());
    server.put(PATH, File { drops: vec![400_000, 0, 0, 0, 0, 0], ..File::new(&content(), "v1") });
    let failure = import(&lab, &with(&server, json!({}))).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Retryable);
    assert!(failure.message.contains("stopped at byte 400000"), "{failure}");
    assert_eq!(lab.published_files(), 0);
    // The second attempt resumes, and one whose partial file is damaged starts over.
    for damaged in [false, true] {
        server.seen.lock().unwrap().clear();
        let part = left_over(&lab).into_iter().find(|path| !path.ends_with(".json")).unwrap();
        if damaged {
            let mut bytes = std::fs::read(&part).unwrap();
            bytes[17] ^= 1;
            std::fs::write(&part, bytes).unwrap();
        }
        let outputs = import(&lab, &with(&server, json!({}))).unwrap();
        assert_eq!(outputs.values["fetched"][0]["sha256"], sha256(&content()));
        let first = server.ranges(PATH)[0].clone();
        assert_eq!(first, if damaged { None } else { Some("bytes=400000-".to_owned()) });
    }
    // A complete file is not asked for again.
    server.seen.lock().unwrap().clear();
    import(&lab, &with(&server, json!({}))).unwrap();
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn an_interrupted_download_keeps_what_it_has() {
    let (server, lab) = (Server::start(), StepLab::new());
    server.put(PATH, File::new(&content(), "v1"));
    let mut recorder = Recorder { looks_left: Cell::new(Some(4)), ..Recorder::default() };
    let ended = lab.attempt_of(&CORPUS_IMPORT, &with(&server, json!({})), &mut recorder);
    assert!(matches!(ended, Err(StepError::Interrupted)));
    import(&lab, &with(&server, json!({}))).unwrap();
    let ranges = server.ranges(PATH);
    assert!(ranges[1].as_ref().is_some_and(|range| range != "bytes=0-"), "{ranges:?}");
}

/// The rest of a new version must never follow the start of the old one.
#[test]
fn a_file_that_changes_in_mid_download_is_refused_and_nothing_is_left() {
    let mut other = content();
    other.reverse();
    let second = [
        File::new(&other, "v2"),
        File { whole: true, ..File::new(&other, "v2") },
        // A server that answers the range although the tag is another one.
        File { headers: vec![("x-ignores-if-range", "yes".to_owned())], ..File::new(&other, "v2") },
    ];
    for second in second {
        let (server, lab) = (Server::start(), StepLab::new());
        let first = File { drops: vec![300_000], ..File::new(&content(), "v1") };
        server.put(PATH, File { then: Some(Box::new(second)), ..first });
        let failure = import(&lab, &with(&server, json!({}))).unwrap_err();
        assert!(
            failure.message.contains("changed on the server during the download, from entity tag \"v1\" to"),
            "{failure}"
        );
        assert_eq!((failure.kind, lab.published_files()), (FailureKind::Retryable, 0));
        assert_eq!(left_over(&lab), [] as [String; 0]);
        // The next attempt takes the new file.
        server.put(PATH, File::new(&content(), "v3"));
        assert!(import(&lab, &with(&server, json!({}))).is_ok());
    }
}

#[test]
fn a_server_without_ranges_or_tags_starts_over() {
    for file in [File { whole: true, ..File::new(&content(), "v1") }, File { bytes: content(), ..File::default() }] {
        let (server, lab) = (Server::start(), StepLab::new());
        server.put(PATH, File { drops: vec![300_000], ..file });
        let outputs = import(&lab, &with(&server, json!({}))).unwrap();
        assert_eq!(outputs.values["fetched"][0]["sha256"], sha256(&content()));
    }
}

#[test]
fn answers_without_the_file_are_told_apart() {
    let cases = [
        (File::status(404), FailureKind::Fatal, "the server has no "),
        (File::status(410), FailureKind::Fatal, "the server has no "),
        (File::status(401), FailureKind::Fatal, "the server refuses "),
        (File::status(302), FailureKind::Fatal, "with status 302"),
        (File::status(503), FailureKind::Retryable, "stopped at byte 0: the server answered with status 503"),
    ];
    for (file, kind, message) in cases {
        let (server, lab) = (Server::start(), StepLab::new());
        server.put(PATH, file);
        let failure = import(&lab, &with(&server, json!({}))).unwrap_err();
        assert!(failure.message.contains(message), "{failure}");
        assert_eq!((failure.kind, lab.published_files()), (kind, 0));
        assert!(failure.hint.is_some());
    }
}

#[test]
fn a_checksum_pins_the_content_and_a_limit_bounds_it() {
    let (server, lab) = (Server::start(), StepLab::new());
    server.put(PATH, File::new(&content(), "v1"));
    let pinned = |hex: &str| with(&server, json!({"source": format!("{}{PATH}#sha256={hex}", server.url)}));
    assert!(import(&lab, &pinned(&sha256(&content()))).is_ok());
    let failure = import(&lab, &pinned(&"0".repeat(64))).unwrap_err();
    assert!(failure.message.contains(&format!("has the SHA-256 {}", sha256(&content()))), "{failure}");
    let lab = StepLab::new();
    let failure = import(&lab, &with(&server, json!({"max_bytes": 1000}))).unwrap_err();
    assert!(failure.message.contains("`max_bytes` is 1000"), "{failure}");
    assert_eq!((left_over(&lab), lab.published_files()), (Vec::new(), 0));
}

#[test]
fn private_addresses_are_refused_unless_allowed_and_redirects_are_checked() {
    let (server, lab) = (Server::start(), StepLab::new());
    server.put(PATH, File::new(&content(), "v1"));
    let named = server.url.replace("127.0.0.1", "localhost");
    for url in [&server.url, &named] {
        let failure = import(&lab, &json!({"source": format!("{url}{PATH}")})).unwrap_err();
        assert!(failure.message.contains("which is not public"), "{failure}");
        assert!(failure.hint.unwrap().contains("allow_private"));
    }
    assert_eq!(server.seen().len(), 0);
    let to = |target: &str| File { status: Some((302, vec![("location", target.to_owned())])), ..File::default() };
    server.put("/moved", to(PATH));
    server.put("/loop", to("/loop"));
    server.put("/away", to("ftp://example.org/a"));
    let source = |path: &str| with(&server, json!({"source": format!("{}{path}", server.url)}));
    assert!(import(&lab, &source("/moved")).is_ok());
    let failure = import(&lab, &source("/loop")).unwrap_err();
    assert!(failure.message.contains("redirects more than"), "{failure}");
    let failure = import(&lab, &source("/away")).unwrap_err();
    assert!(failure.message.contains("neither HTTP nor HTTPS"), "{failure}");
}

#[test]
fn only_the_named_server_sees_the_token() {
    let (server, other, lab) = (Server::start(), Server::start(), StepLab::new());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "sesame\n").unwrap();
    other.put(PATH, File::new(&content(), "v1"));
    let location = format!("{}{PATH}", other.url);
    server.put(PATH, File { status: Some((307, vec![("location", location)])), ..File::default() });
    let token = json!({"token": {"file": folder.path().join("token")}});
    let outputs = import(&lab, &with(&server, token.clone())).unwrap();
    assert_eq!(server.seen()[0].headers["authorization"], "Bearer sesame");
    assert!(other.seen().iter().all(|seen| !seen.headers.contains_key("authorization")));
    assert!(!serde_json::to_string(&outputs.values).unwrap().contains("sesame"));
    let mut both = with(&server, token.clone());
    both["source"] = json!([format!("{}{PATH}", server.url), format!("{}{PATH}", other.url)]);
    let failure = CORPUS_IMPORT.check(&both).unwrap_err();
    assert!(failure.message.contains("would be sent to several servers"), "{failure}");
    let mut public = with(&server, token);
    public["allow_private"] = json!(false);
    let failure = import(&lab, &public).unwrap_err();
    assert!(failure.message.contains("would show the token"), "{failure}");
}
