//! The origin of an artifact: every step on the way to it, back to the imports. Another machine can check the
//! manifest: each step's key is the digest of what went into the step, and each input is the output of
//! another step in the manifest.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::event::Ruling;
use super::project::GitState;
use stepwell_base::artifact::{ArtifactRef, Digest};
use stepwell_base::ids::{RunId, StepId, StepKey};
use stepwell_base::json::{self, Limit};
use stepwell_workflow::key::{json_digest, step_key};

/// Newest version of the manifest format: 2 has `git`. Readers reject newer ones.
pub const VERSION: u32 = 2;
/// Version of a manifest without `git`, which older builds read.
const WITHOUT_GIT: u32 = 1;
/// Key under which recorded arguments hold the fingerprint.
pub const FINGERPRINT: &str = "$fingerprint";
/// Versions of a step kind to try when searching for the one that gave a key.
const VERSIONS: std::ops::RangeInclusive<u32> = 1..=1000;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    pub version: u32,
    /// The program that wrote this, and the code it was built from.
    pub written_by: String,
    pub artifact: ArtifactRef,
    /// Name of the artifact among the outputs of its producer, the last of the `nodes`.
    pub output: String,
    /// The manifests of the artifact, if it is a tree, and of the trees in it.
    pub trees: BTreeMap<Digest, BTreeMap<String, ArtifactRef>>,
    /// Each node comes after those whose outputs it reads.
    pub nodes: Vec<Node>,
    /// Keyed by digest; `nodes` refer to them.
    pub environments: BTreeMap<String, Value>,
    /// Decisions of gates and people in the runs of the `nodes`.
    pub decisions: Vec<Decision>,
    /// BLAKE3 of the canonical JSON of all other fields.
    pub digest: String,
}

/// A step that has succeeded.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    pub run: RunId,
    pub workflow: String,
    pub spec_digest: String,
    pub step: StepId,
    /// The run that did the work; differs from `run` if the step was reused.
    pub executed_in: RunId,
    pub executed_as: StepId,
    pub kind: String,
    pub kind_version: u32,
    pub key: StepKey,
    /// Resolved arguments.
    pub with: Value,
    pub fingerprint: Value,
    /// Every argument whose name ends in `seed`.
    pub seeds: Map<String, Value>,
    /// Artifacts that `with` reads, each with the index of its producer.
    pub inputs: Vec<Input>,
    pub outputs: BTreeMap<String, ArtifactRef>,
    pub attempts: Vec<AttemptRecord>,
    /// All checkpoints that the attempts committed, including those rewound or dropped later.
    pub checkpoints: Vec<CheckpointRecord>,
    /// The folder of the workflow file at the submission of `executed_in`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitState>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    pub digest: Digest,
    /// `None` when it came from outside, by a digest in the parameters.
    pub producer: Option<usize>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptRecord {
    pub attempt: u32,
    pub status: String,
    pub started_at: String,
    pub finished_at: Option<String>,
    pub reason: Option<String>,
    pub environment: Option<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointRecord {
    /// Number in the event log.
    pub event: i64,
    pub last_step: Option<u64>,
    pub tokens_so_far: Option<u64>,
    pub loss: Option<f64>,
    pub digest: Option<Digest>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    pub run: RunId,
    pub step: StepId,
    pub at: jiff::Timestamp,
    pub ruling: Ruling,
}

impl Provenance {
    /// # Errors
    /// The reason why this build cannot read the text as a manifest.
    pub fn read(text: &[u8]) -> Result<Provenance, String> {
        let value: Value = json::parse(text, Limit::STORED).map_err(|error| error.to_string())?;
        match value["version"].as_u64() {
            Some(version) if version > u64::from(VERSION) => {
                Err(format!("it has version {version}, this build reads {VERSION}"))
            }
            _ => serde_json::from_value(value).map_err(|error| error.to_string()),
        }
    }

    /// The version of a manifest with these nodes.
    pub fn version_of(nodes: &[Node]) -> u32 {
        if nodes.iter().any(|node| node.git.is_some()) { VERSION } else { WITHOUT_GIT }
    }

    /// The digest of everything but `digest` itself.
    pub fn own_digest(&self) -> String {
        // It holds only text keys and finite numbers, so it always has a JSON form.
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Value::Object(fields) = &mut value {
            fields.remove("digest");
        }
        json_digest(&value)
    }

    /// Returns everything that does not fit together. Does not check the bytes of the artifact.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.own_digest() != self.digest {
            problems.push("the manifest was changed: it does not have the digest that it gives".to_owned());
        }
        let mut producers: BTreeMap<&Digest, usize> = BTreeMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            problems.extend(self.node_problems(node, &producers));
            for artifact in node.outputs.values() {
                producers.entry(&artifact.digest).or_insert(index);
            }
        }
        let made = self.nodes.last().and_then(|node| node.outputs.get(&self.output));
        if made != Some(&self.artifact) {
            problems
                .push(format!("the last step does not give artifact {} as `{}`", self.artifact.digest, self.output));
        }
        problems
    }

    fn node_problems(&self, node: &Node, producers: &BTreeMap<&Digest, usize>) -> Vec<String> {
        let mut problems = Vec::new();
        let name = format!("step `{}` of run {}", node.step, node.run);
        if step_key(&node.kind, node.kind_version, &node.with, &node.fingerprint) != node.key {
            problems.push(format!("{name}: its arguments do not give its key {}", node.key));
        }
        let read = inputs(&node.with);
        if read != node.inputs.iter().map(|input| input.digest.clone()).collect() {
            problems.push(format!("{name}: its inputs are not those of its arguments"));
        }
        for Input { digest, producer } in &node.inputs {
            let made_there = producer.and_then(|index| self.nodes.get(index)).is_some_and(|producer| {
                producer.outputs.values().any(|artifact| artifact.digest == *digest) && producers.contains_key(digest)
            });
            if !made_there {
                problems.push(format!("{name}: no step before it has made its input {digest}"));
            }
        }
        let environments = node.attempts.iter().filter_map(|attempt| attempt.environment.as_ref());
        for digest in environments.filter(|digest| !self.environments.contains_key(*digest)) {
            problems.push(format!("{name}: environment {digest} is missing"));
        }
        problems
    }
}

/// The artifacts that resolved arguments hold.
pub fn inputs(with: &Value) -> BTreeSet<Digest> {
    let mut found = BTreeSet::new();
    collect(with, &mut found);
    found
}

fn collect(value: &Value, found: &mut BTreeSet<Digest>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => match serde_json::from_value::<ArtifactRef>(value.clone()) {
            Ok(artifact) => drop(found.insert(artifact.digest)),
            Err(_) => fields.values().for_each(|field| collect(field, found)),
        },
        _ => {}
    }
}

/// Every argument whose name ends in `seed`, by its path.
pub fn seeds(with: &Value) -> Map<String, Value> {
    let mut found = Map::new();
    collect_seeds("", with, &mut found);
    found
}

fn collect_seeds(path: &str, value: &Value, found: &mut Map<String, Value>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if name.to_lowercase().ends_with("seed") {
                    found.insert(below(name), field.clone());
                }
                collect_seeds(&below(name), field, found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect_seeds(&format!("{path}[{index}]"), item, found);
            }
        }
        _ => {}
    }
}

/// Splits recorded arguments into the arguments proper and the fingerprint beside them.
pub fn split_fingerprint(recorded: &Value) -> (Value, Value) {
    let mut with = recorded.clone();
    let fingerprint = match &mut with {
        Value::Object(fields) => fields.remove(FINGERPRINT).unwrap_or_default(),
        _ => Value::Null,
    };
    (with, fingerprint)
}

/// Finds the version of the step kind with which these arguments give this key. The version is not recorded;
/// the search also proves that the arguments are those that were keyed.
pub fn kind_version(kind: &str, with: &Value, fingerprint: &Value, key: &StepKey) -> Option<u32> {
    VERSIONS.into_iter().find(|version| step_key(kind, *version, with, fingerprint) == *key)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn artifact(text: &str) -> ArtifactRef {
        ArtifactRef {
            digest: Digest::of(text.as_bytes()),
            size: text.len() as u64,
            media_type: "text/plain".to_owned(),
        }
    }

    fn node(step: &str, with: Value, read: Vec<Input>, made: &str) -> Node {
        let run = RunId(Uuid::nil());
        Node {
            run,
            workflow: "w".to_owned(),
            spec_digest: String::new(),
            step: step.into(),
            executed_in: run,
            executed_as: step.into(),
            kind: "command".to_owned(),
            kind_version: 1,
            key: step_key("command", 1, &with, &Value::Null),
            seeds: Map::new(),
            with,
            fingerprint: Value::Null,
            inputs: read,
            outputs: BTreeMap::from([("out".to_owned(), artifact(made))]),
            attempts: Vec::new(),
            checkpoints: Vec::new(),
            git: None,
        }
    }

    /// `use` reads what `make` has made.
    fn manifest() -> Provenance {
        let text = artifact("text");
        let read = vec![Input { digest: text.digest.clone(), producer: Some(0) }];
        let nodes = vec![
            node("make", json!({ "n": 1 }), Vec::new(), "text"),
            node("use", json!({ "in": text }), read, "result"),
        ];
        Provenance {
            version: VERSION,
            written_by: String::new(),
            artifact: artifact("result"),
            output: "out".to_owned(),
            trees: BTreeMap::new(),
            nodes,
            environments: BTreeMap::new(),
            decisions: Vec::new(),
            digest: String::new(),
        }
    }

    /// Asserts that a change is found even if a forger has recomputed the manifest's own digest.
    #[track_caller]
    fn assert_found(problem: &str, change: impl FnOnce(&mut Provenance)) {
        let mut changed = manifest();
        change(&mut changed);
        changed.digest = changed.own_digest();
        let problems = changed.problems();
        assert!(problems.iter().any(|found| found.contains(problem)), "`{problem}` is not in {problems:?}");
    }

    #[test]
    fn a_manifest_whose_parts_fit_together_has_no_problem() {
        let mut whole = manifest();
        assert_eq!(whole.problems(), ["the manifest was changed: it does not have the digest that it gives"]);
        whole.digest = whole.own_digest();
        assert_eq!(whole.problems(), [""; 0]);
    }

    #[test]
    fn each_part_that_does_not_fit_is_found_by_itself() {
        assert_found("do not give its key", |m| m.nodes[0].with = json!({ "n": 2 }));
        assert_found("its inputs are not those of its arguments", |m| m.nodes[1].inputs.clear());
        assert_found("no step before it has made its input", |m| m.nodes[0].outputs.clear());
        assert_found("no step before it has made its input", |m| m.nodes[1].inputs[0].producer = None);
        assert_found("the last step does not give artifact", |m| m.artifact = artifact("another"));
        assert_found("the last step does not give artifact", |m| m.nodes.reverse());
        assert_found("environment e is missing", |m| {
            m.nodes[0].attempts.push(AttemptRecord {
                attempt: 1,
                status: "succeeded".to_owned(),
                started_at: String::new(),
                finished_at: None,
                reason: None,
                environment: Some("e".to_owned()),
            });
        });
    }
}
