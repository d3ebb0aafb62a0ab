//! Bad input gives an error that names the file and the fix, and leaves nothing half-written.

use std::io::Write;

use crate::harness::{Finished, Sandbox};

const IMPORT: &str = r#"
name = "import"
[params]
corpus = ""
vocab_size = 300
[[step]]
id = "import"
kind = "corpus.import"
with = { source = "{{ params.corpus }}" }
[[step]]
id = "clean"
kind = "corpus.clean"
with = { documents = "{{ steps.import.outputs.documents }}" }
[[step]]
id = "tokenizer"
kind = "tokenizer.train"
with = { documents = "{{ steps.clean.outputs.train }}", vocab_size = "{{ params.vocab_size }}" }
"#;

fn import(sandbox: &Sandbox, corpus: &str, more: &[&str]) -> Finished {
    sandbox.write("import.toml", IMPORT);
    let corpus = format!("corpus={corpus}");
    sandbox.stepwell(&[&["run", "import.toml", "--name", corpus.as_str(), "-S", corpus.as_str()], more].concat())
}

#[track_caller]
fn assert_nothing_published(sandbox: &Sandbox) {
    assert_eq!(sandbox.query("SELECT count(*) FROM step_output"), ["0"]);
    let temporary = std::fs::read_dir(sandbox.state().join("artifacts/tmp")).unwrap().count();
    assert_eq!(temporary, 0, "no temporary file is left");
}

#[test]
fn a_corpus_that_is_missing_or_empty() {
    let sandbox = Sandbox::new();
    import(&sandbox, "nowhere.txt", &[]).exits(2).says(&["nowhere.txt", "hint:"]);
    sandbox.write("empty.txt", "");
    import(&sandbox, "empty.txt", &[]).exits(3).says(&["empty"]);
    import(&sandbox, "*.md", &[]).exits(2).says(&["*.md"]);
    assert_nothing_published(&sandbox);
}

#[test]
fn a_corpus_that_is_not_text() {
    let sandbox = Sandbox::new();
    sandbox.write("binary.txt", [b'a', 0, 1, 2, 255]);
    import(&sandbox, "binary.txt", &[]).exits(3).says(&["binary.txt", "binary"]);
    let mut bytes = b"good line\nbad ".to_vec();
    bytes.extend_from_slice(&[0xC3, 0x28]);
    bytes.extend_from_slice(b" line\n");
    sandbox.write("latin.txt", bytes);
    import(&sandbox, "latin.txt", &[]).exits(3).says(&["latin.txt", "UTF-8", "2"]);
    assert_nothing_published(&sandbox);
}

#[test]
fn a_corrupt_gzip_file() {
    let sandbox = Sandbox::new();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    for line in 0..5000 {
        writeln!(encoder, "line {line} of a text").unwrap();
    }
    let mut bytes = encoder.finish().unwrap();
    bytes.truncate(bytes.len() / 2);
    sandbox.write("cut.txt.gz", bytes);
    import(&sandbox, "cut.txt.gz", &[]).exits(3).says(&["cut.txt.gz", "gzip"]);
    assert_nothing_published(&sandbox);
}

#[test]
fn a_broken_jsonl_line_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("docs.jsonl", "{\"text\": \"fine\"}\n{\"body\": \"no text field\"}\n");
    import(&sandbox, "docs.jsonl", &[]).exits(3).says(&["docs.jsonl:2", "text"]);
    assert_nothing_published(&sandbox);
}

#[test]
fn a_vocabulary_larger_than_the_corpus_allows() {
    let sandbox = Sandbox::new();
    let text: String = (0..200).map(|n| format!("sentence number {n} is short.\n\n")).collect();
    sandbox.write("small.txt", text);
    import(&sandbox, "small.txt", &["-S", "vocab_size=32000"]).exits(3).says(&["32000", "hint:"]);
}

#[test]
fn an_unknown_parameter_or_key() {
    let sandbox = Sandbox::new();
    import(&sandbox, "x", &["-S", "vocab_sise=3"]).exits(2).says(&["vocab_sise", "vocab_size"]);
    sandbox.write("key.toml", "name = \"k\"\n[[step]]\nid = \"a\"\nkind = \"noop\"\nretries = 3\n");
    sandbox.stepwell(&["run", "key.toml"]).exits(2).says(&["key.toml", "retries"]);
    assert!(!sandbox.state().exists());
}

#[test]
fn a_template_that_fails_at_run_time_names_what_is_missing() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "late.toml",
        "name = \"late\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nwith = { shell = \"true\" }\n[[step]]\nid = \"b\"\nkind = \"noop\"\nwith = { values = { y = \"{{ steps.a.values.z }}\" } }\n",
    );
    sandbox.stepwell(&["run", "late.toml"]).exits(3).says(&["steps.a.values.z"]);
}

#[test]
fn a_state_directory_of_a_newer_version_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.stepwell(&["run", "commands"]).ok();
    let connection = rusqlite::Connection::open(sandbox.state().join("stepwell.db")).unwrap();
    connection.pragma_update(None, "user_version", 9999).unwrap();
    drop(connection);
    for args in [&["list"][..], &["run", "commands"], &["resume", "last"]] {
        sandbox.stepwell(args).exits(7).says(&["9999", "newer"]);
    }
}

#[test]
fn a_flipped_byte_in_an_artifact_is_found_and_named() {
    let sandbox = Sandbox::new();
    sandbox.stepwell(&["run", "commands", "-S", "lines=10"]).ok();
    let digest = sandbox.query("SELECT digest FROM step_output WHERE step = 'make'").remove(0);
    let blob = sandbox.state().join("artifacts/blobs").join(&digest[..2]).join(&digest);
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[3] ^= 1;
    std::fs::remove_file(&blob).unwrap();
    std::fs::write(&blob, bytes).unwrap();
    let finished = sandbox.stepwell(&["artifact", "verify"]).exits(3);
    assert!(finished.stdout.contains(&digest), "{}", finished.stdout);
    sandbox.stepwell(&["artifact", "show", "last/make/numbers"]).exits(3).says(&[&digest]);
}

/// Root may write anywhere, so as root this only checks that the directory stays usable.
#[test]
fn a_read_only_state_directory() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    let folder = sandbox.path("locked");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o555)).unwrap();
    let state = folder.join("state");
    let root = std::fs::write(folder.join("probe"), "").is_ok();
    let finished = sandbox.stepwell(&["run", "commands", "--state-dir", state.to_str().unwrap()]);
    if root {
        finished.ok();
    } else {
        assert_ne!(finished.code, 0);
        finished.says(&["locked", "hint:"]);
    }
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}
