//! Reads two files of records, and matches them.

use std::collections::BTreeMap;

use crate::corpus_documents::NDJSON;
use crate::evaluation::outcome::Record;
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::Failure;

/// Largest file of records.
const MOST_BYTES: u64 = 1 << 30;

/// Scores of both models on the items of one task, in the order of the items.
pub type Pairs = Vec<[BTreeMap<String, f64>; 2]>;

/// The scores of two evaluations by task.
///
/// # Errors
/// When a file is no output `items`, or the evaluations are not of the same items.
pub fn matched(artifacts: &ArtifactStore, files: [&ArtifactRef; 2]) -> Result<BTreeMap<String, Pairs>, Failure> {
    let [first, mut second] = [read(artifacts, files[0], "first")?, read(artifacts, files[1], "second")?];
    let mut tasks: BTreeMap<String, Pairs> = BTreeMap::new();
    for ((task, item), (digest, scores)) in first {
        let Some((other_digest, other)) = second.remove(&(task.clone(), item)) else {
            return Err(not_the_same(format!("only `first` has item {item} of `{task}`")));
        };
        if digest != other_digest {
            return Err(not_the_same(format!("item {item} of `{task}` is another one in `second`")));
        }
        tasks.entry(task).or_default().push([scores, other]);
    }
    match second.into_keys().next() {
        Some((task, item)) => Err(not_the_same(format!("only `second` has item {item} of `{task}`"))),
        None if tasks.is_empty() => Err(Failure::fatal("the evaluations have no items")),
        None => Ok(tasks),
    }
}

type Scored = BTreeMap<(String, u64), (String, BTreeMap<String, f64>)>;

fn read(artifacts: &ArtifactStore, file: &ArtifactRef, side: &str) -> Result<Scored, Failure> {
    let refused = |why: String| {
        Failure::fatal(format!("`{side}` is no result of an evaluation: {why}"))
            .with_hint("take the output `items` of a step of kind `model.eval` or `eval`")
    };
    if file.media_type != NDJSON || file.size > MOST_BYTES {
        return Err(refused(format!("it is {} bytes of {}", file.size, file.media_type)));
    }
    let bytes = artifacts.read(file)?;
    let mut scored = Scored::new();
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')).filter(|(_, line)| !line.is_empty()) {
        let Record { task, item, digest, scores, .. } =
            serde_json::from_slice(line).map_err(|error| refused(format!("line {number}: {error}")))?;
        if scored.insert((task, item), (digest, scores)).is_some() {
            return Err(refused(format!("line {number}: it has the item of an earlier line")));
        }
    }
    Ok(scored)
}

fn not_the_same(why: String) -> Failure {
    Failure::fatal(format!("the two evaluations are not of the same items: {why}"))
        .with_hint("evaluate both models with the same tasks, files, counts and seeds")
}
