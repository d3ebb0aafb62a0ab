//! Where relative sources start.

use super::*;
use crate::{StepHandler, Surroundings};

/// A lab whose workflow file is in a folder with texts. The tests themselves run in the folder of this crate.
fn lab() -> StepLab {
    let mut lab = StepLab::new();
    lab.project = lab.directory.path().join("project [a]");
    fs::create_dir_all(lab.project.join("src/more")).unwrap();
    write(&lab.project, "own.txt", b"own");
    write(&lab.project.join("src"), "a.txt", b"first");
    write(&lab.project.join("src/more"), "b.txt", b"second");
    lab
}

#[test]
fn a_relative_source_starts_at_the_folder_of_the_workflow_file_or_else_where_the_engine_works() {
    let lab = lab();
    for (source, expected) in [
        (json!("own.txt"), &["own"][..]),
        (json!("./own.txt"), &["own"]),
        // Both folders have one.
        (json!("src"), &["first", "second"]),
        (json!("src/*.txt"), &["first"]),
        (json!("src/**/*.txt"), &["first", "second"]),
        (json!("*.txt"), &["own"]),
        (json!("['own.txt', 'src/more']"), &["own", "second"]),
    ] {
        assert_eq!(texts(&lab, &json!({ "source": source })), expected, "{source}");
    }
    for source in ["Cargo.toml", "Cargo.*ml", "src/corpus_import/tests/places.r?"] {
        let with = json!({ "source": source, "split": "file" });
        assert_eq!(texts(&lab, &with).len(), 1, "{source} is only where the engine works");
    }
}

#[test]
fn the_key_is_that_of_the_files_wherever_they_are() {
    let lab = lab();
    for source in ["own.txt", "src", "src/**/*.txt"] {
        let with = json!({ "source": source });
        let found =
            CORPUS_IMPORT.fingerprint_in(&with, &Surroundings { project: &lab.project, file: None, earlier: None });
        if !source.contains('*') {
            let whole = json!({ "source": lab.project.join(source) });
            assert_eq!(found.clone().unwrap(), CORPUS_IMPORT.fingerprint(&whole).unwrap(), "{source}");
        }
        let names: Vec<String> = found.unwrap().as_array().unwrap().iter().map(|file| file[0].to_string()).collect();
        let expected: &[&str] = if source == "own.txt" { &["\"own.txt\""] } else { &["\"a.txt\"", "\"more/b.txt\""] };
        assert_eq!(names, expected, "{source}");
    }
}

#[test]
fn a_missing_source_names_both_places() {
    let lab = lab();
    let look = |source: &str| {
        let with = json!({ "source": source });
        let found = CORPUS_IMPORT.look_ahead(with.as_object().unwrap(), &lab.project);
        found.into_iter().map(|finding| format!("{} / {}", finding.message, finding.hint)).collect::<Vec<_>>()
    };
    assert_eq!(look("own.txt"), [""; 0]);
    assert_eq!(look("src/*.txt"), [""; 0]);
    let missing = look("gone.txt").concat();
    assert!(missing.contains("corpus source gone.txt does not exist"), "{missing}");
    assert!(missing.contains("project [a]") && missing.contains("or else at the directory of the engine"), "{missing}");
    let missing = look("gone/*.txt").concat();
    assert!(missing.contains("matches no file") && missing.contains("project [a]"), "{missing}");
}
