//! Replays the seeds, which include every input that has ever broken a property.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::targets::{TARGETS, run};

/// A seed takes milliseconds: this is far beyond a slow machine, but not beyond a reader without a bound.
const LONGEST: Duration = Duration::from_secs(10);

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn every_seed_keeps_the_properties() {
    let mut slow = Vec::new();
    for (name, _) in TARGETS {
        for entry in fs::read_dir(folder("seeds").join(name)).unwrap() {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            let start = Instant::now();
            run(name, &fs::read(&path).unwrap());
            if start.elapsed() > LONGEST {
                slow.push((path, start.elapsed()));
            }
        }
    }
    assert!(slow.is_empty(), "{slow:?}");
}

#[test]
fn every_target_has_a_program_and_seeds() {
    let known: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&folder("fuzz_targets")), known);
    assert_eq!(names(&folder("seeds")), known);
    let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
    for name in &known {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is not in fuzz/Cargo.toml");
        let program = fs::read_to_string(folder("fuzz_targets").join(name).with_extension("rs")).unwrap();
        assert!(program.contains(&format!("run(\"{name}\", data)")), "{name}.rs runs another target");
    }
}
