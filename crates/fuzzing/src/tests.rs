//! Replays the seeds, including every input that has ever broken a property, and mutations of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::targets::{TARGETS, run};
use stepwell_base::rng::{Rng, derive_seed};

/// Limit for one seed, which takes milliseconds. A slow machine stays within it; a reader without a bound does not.
const LONGEST: Duration = Duration::from_secs(10);

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(name)
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

/// Mutations per seed. Set STEPWELL_MUTATIONS to a higher number where no fuzzer can be built.
const MUTATIONS: u64 = 3;

/// Changes, drops or repeats bytes, or splices two seeds. It works without feedback, which is enough for a plain
/// test run.
fn mutated(seeds: &[Vec<u8>], seed: usize, rng: &mut Rng) -> Vec<u8> {
    let mut data = seeds[seed].clone();
    for _ in 0..=rng.below(4) {
        let at = rng.below(data.len() as u64 + 1) as usize;
        let length = (rng.below(16) as usize).min(data.len() - at);
        match rng.below(5) {
            0 => drop(data.splice(at..at + length, [])),
            1 => drop(data.splice(at..at, vec![rng.below(256) as u8; 1 + length])),
            2 => data[at..at + length].iter_mut().for_each(|byte| *byte ^= 1 << rng.below(8)),
            3 => drop(data.splice(at..at, data[at..at + length].repeat(1 + rng.below(40) as usize))),
            _ => {
                let other = &seeds[rng.below(seeds.len() as u64) as usize];
                let from = rng.below(other.len() as u64 + 1) as usize;
                drop(data.splice(at.., other[from..].iter().copied()));
            }
        }
    }
    data
}

#[test]
fn changed_seeds_keep_the_properties() {
    let mutations = std::env::var("STEPWELL_MUTATIONS").map_or(MUTATIONS, |text| text.parse().unwrap());
    let wanted = std::env::var("STEPWELL_TARGET").ok();
    for (name, _) in TARGETS.iter().filter(|(name, _)| wanted.as_deref().is_none_or(|wanted| wanted == *name)) {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(folder("seeds").join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let seeds: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
        let mut rng = Rng::new(derive_seed(1, name, 0));
        for number in 0..mutations * seeds.len() as u64 {
            let data = mutated(&seeds, number as usize % seeds.len(), &mut rng);
            let start = Instant::now();
            if let Err(panic) = std::panic::catch_unwind(|| run(name, &data)) {
                eprintln!("{name}, change {number}: {:?}", String::from_utf8_lossy(&data));
                std::panic::resume_unwind(panic);
            }
            assert!(start.elapsed() < LONGEST, "{name}, change {number}: {:?}", String::from_utf8_lossy(&data));
        }
    }
}

#[test]
fn every_target_has_a_program_and_seeds() {
    let mut known: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    // Only a build with training has these.
    known.extend(["checkpoint", "weights"].map(str::to_owned));
    assert_eq!(names(&folder("fuzz_targets")), known);
    assert_eq!(names(&folder("seeds")), known);
    let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
    for name in &known {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is not in fuzz/Cargo.toml");
        let program = fs::read_to_string(folder("fuzz_targets").join(name).with_extension("rs")).unwrap();
        assert!(program.contains(&format!("run(\"{name}\", data)")), "{name}.rs runs another target");
    }
}
