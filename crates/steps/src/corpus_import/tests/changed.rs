//! Tests that a file that changes during the import fails it: the key covers the content that is read.

use std::fs;

use serde_json::json;

use super::super::CORPUS_IMPORT;
use super::{gz, write, zst};
use crate::tests::{Recorder, StepLab};
use crate::{StepError, StepHandler};
use stepwell_base::failure::FailureKind;

#[test]
fn a_file_that_changes_after_it_was_hashed_publishes_nothing() {
    let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
    write(dir.path(), "a.txt", b"one");
    let path = write(dir.path(), "b.txt", b"version one");
    let with = json!({"source": dir.path()});
    let fingerprint = CORPUS_IMPORT.fingerprint(&with).unwrap();
    let attempt = || {
        let run = |context: &mut crate::StepContext<'_>| CORPUS_IMPORT.run(context);
        lab.attempt_with(&with, fingerprint.clone(), &mut Recorder::default(), run)
    };
    let changes: [(&str, &dyn Fn()); 3] = [
        ("b.txt changed while it was read", &|| fs::write(&path, "version two").unwrap()),
        ("hold other files than a moment before", &|| fs::rename(&path, dir.path().join("c.md")).unwrap()),
        ("hold other files than a moment before", &|| drop(write(dir.path(), "new.txt", b"three"))),
    ];
    for (index, (message, change)) in changes.into_iter().enumerate() {
        change();
        let Err(StepError::Failed(failure)) = attempt() else { panic!("change {index} was not seen") };
        assert!(failure.message.contains(message) || index == 1, "{failure}");
        assert_eq!(failure.kind, FailureKind::Retryable, "the next attempt has another key");
        assert_eq!(lab.published_files(), 0);
    }
    for name in ["c.md", "new.txt"] {
        fs::remove_file(dir.path().join(name)).unwrap();
    }
    write(dir.path(), "b.txt", b"version one");
    assert!(attempt().is_ok());
}

/// Every reader must reach the end of the stored bytes, or its digest covers only a part.
#[test]
fn the_digest_of_what_was_read_is_that_of_the_file() {
    let json = b"{\"text\": \"one\"}\n \n";
    let files: [(&str, Vec<u8>); 9] = [
        ("a.txt", b"one\n".to_vec()),
        ("a.txt.gz", [gz(b"one"), vec![0; 200_000]].concat()),
        ("a.txt.zst", [zst(b"one"), vec![0x50, 0x2A, 0x4D, 0x18, 1, 0, 0, 0, 9]].concat()),
        ("a.jsonl", json.to_vec()),
        ("a.jsonl.gz", gz(json)),
        ("a.json", b"[{\"text\": \"one\"}]\n\n".to_vec()),
        ("a.json.zst", zst(b"{\n\"text\": \"one\"\n}\n\n")),
        ("empty.gz", Vec::new()),
        ("wide.md", "caf\u{e9}\n".repeat(100_000).into_bytes()),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = write(dir.path(), name, &bytes);
        for more in [json!({}), json!({"split": "paragraph"})] {
            let mut with = more;
            with["source"] = json!([path, "builtin:grammar"]);
            with["documents"] = json!(1);
            assert!(StepLab::new().run(&CORPUS_IMPORT, &with).is_ok(), "{name}");
        }
    }
}
