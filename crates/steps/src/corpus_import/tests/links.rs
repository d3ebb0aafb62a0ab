//! Tests links, pipes and other entries of folders, and that globs visit only the folders they name.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::json;

use super::super::CORPUS_IMPORT;
use super::{failure, noted, texts, texts_of, write};
use crate::StepHandler;
use crate::tests::StepLab;

fn fifo(path: &Path) {
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
}

#[test]
fn dangling_links_loops_and_pipes_are_passed_over_and_named() {
    let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
    write(dir.path(), "a.txt", b"one");
    write(dir.path(), "sub/b.txt", b"two");
    symlink("/nowhere/at/all", dir.path().join("old.bak")).unwrap();
    symlink("..", dir.path().join("sub/loop")).unwrap();
    symlink("self.txt", dir.path().join("self.txt")).unwrap();
    fifo(&dir.path().join("pipe.txt"));
    let (outputs, notes) = noted(&lab, &json!({"source": dir.path()}));
    assert_eq!(texts_of(&lab, &outputs), ["one", "two"]);
    assert_eq!(outputs.values["passed_over"], 4);
    for part in [
        "4 entries of the folders were passed over: ",
        "old.bak is a link to nothing, /nowhere/at/all",
        "pipe.txt is no regular file",
        "self.txt, a link to self.txt, cannot be read",
        "sub/loop leads to what was read under another name",
    ] {
        assert!(notes[0].contains(part), "{part}: {notes:?}");
    }
}

#[test]
fn a_glob_visits_only_what_it_names() {
    let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
    let base = dir.path().to_str().unwrap();
    for name in ["a.txt", "b.md", "x/1.txt", "x/y/2.txt", "xx/3.txt", "z/4.txt", "z/w/5.txt", "z/.h/6.txt"] {
        write(dir.path(), name, name.as_bytes());
    }
    symlink("/nowhere", dir.path().join("old.bak")).unwrap();
    symlink("..", dir.path().join("x/loop")).unwrap();
    for (pattern, expected) in [
        ("*.txt", &["a.txt"][..]),
        ("x/*.txt", &["x/1.txt"]),
        ("x*/*.txt", &["x/1.txt", "xx/3.txt"]),
        ("{x,z}/*.txt", &["x/1.txt", "z/4.txt"]),
        ("{x/y,z}/*.txt", &["x/y/2.txt", "z/4.txt"]),
        ("[xz]/?/*.txt", &["x/y/2.txt", "z/w/5.txt"]),
        ("z/**/*.txt", &["z/4.txt", "z/w/5.txt"]),
        ("z/**", &["z/4.txt", "z/w/5.txt"]),
        ("*", &["a.txt", "b.md"]),
        ("./z/*", &["z/4.txt"]),
    ] {
        let (outputs, notes) = noted(&lab, &json!({"source": format!("{base}/{pattern}")}));
        assert_eq!(texts_of(&lab, &outputs), expected, "{pattern}");
        // `*` matches the dangling link; the other patterns reach neither it nor the loop.
        assert_eq!(notes.len(), usize::from(pattern == "*"), "{pattern}: {notes:?}");
    }
}

/// Following every name of a folder would give n! paths.
#[test]
fn a_folder_or_file_with_several_names_is_read_once() {
    let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
    let names: Vec<String> = (0..12).map(|n| format!("d{n:02}")).collect();
    for name in &names {
        write(dir.path(), &format!("{name}/text.txt"), name.as_bytes());
        for other in &names {
            symlink(dir.path().join(other), dir.path().join(name).join(format!("to-{other}"))).unwrap();
        }
    }
    symlink("text.txt", dir.path().join("d00/twin.txt")).unwrap();
    let mut read = texts(&lab, &json!({"source": dir.path()}));
    read.sort();
    assert_eq!(read, names);
    // Hard links are separate files, and a source given twice is read twice.
    let linked = tempfile::tempdir().unwrap();
    let path = write(linked.path(), "a.txt", b"one");
    fs::hard_link(&path, linked.path().join("b.txt")).unwrap();
    assert_eq!(texts(&lab, &json!({"source": linked.path()})).len(), 2);
    assert_eq!(texts(&lab, &json!({"source": [path, path]})).len(), 2);
}

#[test]
fn a_link_to_a_file_or_folder_is_read_as_what_it_leads_to() {
    let (lab, dir, store) = (StepLab::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(store.path(), "blobs/1234", b"one");
    write(store.path(), "more/b.txt", b"two");
    symlink(store.path().join("blobs/1234"), dir.path().join("a.txt")).unwrap();
    symlink(store.path().join("more"), dir.path().join("more")).unwrap();
    assert_eq!(texts(&lab, &json!({"source": dir.path()})), ["one", "two"]);
    assert_eq!(texts(&lab, &json!({"source": dir.path().join("a.txt")})), ["one"]);
}

#[test]
fn sources_that_cannot_be_read_are_refused_at_once() {
    let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
    let path = |name: &str| dir.path().join(name);
    symlink("/nowhere", path("dangling.txt")).unwrap();
    symlink("self.txt", path("self.txt")).unwrap();
    fifo(&path("pipe.txt"));
    for (source, message) in [
        ("dangling.txt", "is a link to /nowhere, which does not exist"),
        ("self.txt", "is a link that leads back to itself"),
        ("pipe.txt", "is neither a file nor a folder"),
        ("pipe.txt/x", "cannot be a path"),
        ("a\u{200B}.txt", "a<U+200B>.txt does not exist"),
        (&"n".repeat(300), "cannot be a path"),
        ("*.txt", "matches no file; 3 entries of the folders were passed over"),
    ] {
        let failure = failure(&lab, &json!({"source": path(source)}));
        assert!(failure.message.contains(message), "{failure}");
        assert_eq!(failure.kind, stepwell_base::failure::FailureKind::Fatal);
    }
    assert!(failure(&lab, &json!({"source": "/dev/zero"})).message.contains("neither a file nor a folder"));
    assert!(failure(&lab, &json!({"source": "a\0b"})).message.contains("cannot be a path"));
}

#[test]
fn a_list_may_come_as_text() {
    let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
    let (a, b) = (write(dir.path(), "a.txt", b"one"), write(dir.path(), "[b].txt", b"two"));
    for list in [format!("[\"{a}\", \"{b}\"]"), format!(" ['{a}','{b}',]"), format!("[\n\"{a}\",\n\"{b}\"]")] {
        assert_eq!(texts(&lab, &json!({"source": list})), ["one", "two"], "{list}");
    }
    // Brackets that are not a list stay a name or a glob.
    assert_eq!(texts(&lab, &json!({"source": b})), ["two"]);
    let lab = StepLab::new();
    assert!(failure(&lab, &json!({"source": "[ab].nothing"})).message.starts_with("glob [ab].nothing"));
    assert!(failure(&lab, &json!({"source": "[]"})).message.contains("empty list"));
    assert!(CORPUS_IMPORT.fingerprint(&json!({"source": format!("['{a}']")})).unwrap().is_array());
}

#[test]
fn a_link_that_sorts_first_hides_no_folder_from_a_glob() {
    let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
    write(dir.path(), "v2/train/a.txt", b"one");
    symlink("v2/train", dir.path().join("current")).unwrap();
    let base = dir.path().to_str().unwrap();
    for pattern in ["*/train/*.txt", "**/train/*.txt", "**/*.txt"] {
        let (outputs, _) = noted(&lab, &json!({"source": format!("{base}/{pattern}")}));
        assert_eq!(texts_of(&lab, &outputs), ["one"], "{pattern}");
    }
}
