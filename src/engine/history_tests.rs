//! Work that does not grow with history, with an engine in this process.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use serde_json::json;

use super::drive::Engine;
use super::inbox::Inbox;
use super::tests::{options, submit_with};
use super::waiting_tests::{drive_until_idle, shelf};
use super::*;
use crate::artifact::ArtifactStore;
use crate::core::artifact::{ArtifactRef, Outputs};
use crate::core::event::{Checkpoint, Event, Recorded};
use crate::core::ids::{Fence, RunId, StepId, StepKey};
use crate::core::protocol::{MetricRow, Progress};
use crate::core::request::Request;
use crate::store::tests::statements::{assert_bounded, statements};
use crate::store::{Batch, EngineLock};

const WORKFLOW: &str = r#"
name = "w"
[[step]]
id = "list"
kind = "noop"
timeout.schedule_to_close = "1h"
with.values.items = [1, 2, 3]
[[step]]
id = "each"
kind = "noop"
for_each = "steps.list.values.items"
with.values.double = "{{ item * 2 }}"
[[step]]
id = "go"
kind = "signal"
needs = ["each"]
with = { name = "go" }
[[step]]
id = "child"
kind = "workflow"
needs = ["go"]
with = { workflow = "child.toml", params = { ok = true } }
"#;

#[test]
fn no_statement_of_an_engine_looks_at_every_row_of_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let run = submit_with(folder.path(), WORKFLOW, &shelf());
    let seen = statements(|| {
        // A worker, a request without an engine, and a start in which there is something to resume.
        assert_eq!(drive_until_idle(folder.path()), Outcome::Idle);
        let signal = Request::Signal { name: "go".to_owned(), payload: json!(1) };
        assert_eq!(ask(folder.path(), run, &signal).unwrap(), Asked::Done);
        let outcome = drive(options(folder.path(), Scope::Run(run)), &mut Quiet).unwrap();
        assert_eq!(outcome, Outcome::Succeeded);
    });
    assert!(seen.len() > 40, "{seen:#?}");
    assert_bounded(folder.path(), &seen);
}

#[derive(Default)]
struct Warnings(Vec<String>);

impl Observer for Warnings {
    fn event(&mut self, _recorded: &Recorded) {}
    fn progress(&mut self, _run: RunId, _step: &StepId, _progress: &Progress) {}
    fn metric(&mut self, _run: RunId, _step: &StepId, _row: &MetricRow) {}
    fn warn(&mut self, message: &str) {
        self.0.push(message.to_owned());
    }
}

const STEPS: &str = r#"
name = "w"
[[step]]
id = "train"
kind = "command"
with.argv = ["true"]
[[step]]
id = "other"
kind = "command"
with.argv = ["true"]
"#;

/// A folder of files, each named by its content.
fn tree(artifacts: &ArtifactStore, files: &[&str]) -> ArtifactRef {
    let put = |text: &&str| ((*text).to_owned(), artifacts.put_bytes(text.as_bytes(), "text/plain").unwrap());
    artifacts.put_tree(&files.iter().map(put).collect()).unwrap()
}

fn is_there(artifacts: &ArtifactStore, text: &str) -> bool {
    artifacts.blob_path(&crate::core::artifact::Digest::of(text.as_bytes())).exists()
}

fn started(step: &str) -> Event {
    Event::AttemptStarted {
        step: step.into(),
        attempt: 1,
        fence: Fence(1),
        key: StepKey("key".to_owned()),
        with: json!({}),
        lease_expires_at: Timestamp::now() + std::time::Duration::from_secs(60),
        resources: Default::default(),
    }
}

/// A checkpoint that drops the one before it.
fn checkpointed(artifact: ArtifactRef) -> Event {
    let checkpoint = Checkpoint {
        artifact: Some(artifact),
        state: json!({}),
        last_step: None,
        last_doc_index: None,
        tokens_so_far: None,
        loss: None,
        phase: None,
        permanent: false,
        keep: Some(1),
    };
    Event::CheckpointCommitted { step: "train".into(), fence: Fence(1), checkpoint }
}

/// As the engine commits: the tables, then the notes, then what is dropped.
fn commit(engine: &mut Engine<'_>, run: RunId, events: impl IntoIterator<Item = Event>) {
    let events: Vec<Recorded> = events.into_iter().map(|event| Recorded { run, at: Timestamp::now(), event }).collect();
    let report = engine.store.commit(Batch { events: &events, ..Batch::default() }).unwrap();
    engine.discards.note(&events, &engine.options.state_dir, &engine.artifacts);
    engine.discard(report.dropped).unwrap();
}

fn with_engine(state_dir: &Path, observer: &mut dyn Observer, work: impl FnOnce(&mut Engine<'_>)) {
    let lock = EngineLock::acquire(state_dir).unwrap();
    let inbox = Inbox::open(state_dir).unwrap();
    work(&mut Engine::open(&lock, options(state_dir, Scope::Requests), observer, &inbox).unwrap());
}

#[test]
fn content_of_a_replaced_checkpoint_goes_unless_a_tree_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let run = submit_with(folder.path(), STEPS, &shelf());
    let artifacts = ArtifactStore::open(folder.path()).unwrap();
    with_engine(folder.path(), &mut Quiet, |engine| {
        commit(engine, run, [Event::RunStarted, started("train"), started("other")]);
        commit(engine, run, [checkpointed(tree(&artifacts, &["shared", "old", "output", "early"]))]);
        // Committed while the trees are known already.
        let out = tree(&artifacts, &["output", "x"]);
        let outputs = Outputs { artifacts: [("out".to_owned(), out)].into(), ..Outputs::default() };
        commit(engine, run, [Event::StepSucceeded { step: "other".into(), fence: Fence(1), outputs }]);
        commit(engine, run, [checkpointed(tree(&artifacts, &["shared", "new"]))]);
        engine.discard_rest().unwrap();
        let left: Vec<&str> =
            ["shared", "old", "output", "early", "new"].into_iter().filter(|text| is_there(&artifacts, text)).collect();
        assert_eq!(left, ["shared", "output", "new"]);
        commit(engine, run, [checkpointed(tree(&artifacts, &["third"]))]);
        assert!(!is_there(&artifacts, "shared") && !is_there(&artifacts, "new"), "the trees are known by now");
        assert!(is_there(&artifacts, "output") && is_there(&artifacts, "third"));
    });
}

#[test]
fn a_tree_that_cannot_be_read_keeps_content_until_it_can_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let run = submit_with(folder.path(), STEPS, &shelf());
    let artifacts = ArtifactStore::open(folder.path()).unwrap();
    let out = tree(&artifacts, &["output"]);
    let manifest = artifacts.blob_path(&out.digest);
    let outputs = Outputs { artifacts: [("out".to_owned(), out.clone())].into(), ..Outputs::default() };
    let mut warnings = Warnings::default();
    with_engine(folder.path(), &mut warnings, |engine| {
        let end = Event::StepSucceeded { step: "other".into(), fence: Fence(1), outputs };
        commit(engine, run, [Event::RunStarted, started("train"), started("other"), end]);
        let bytes = fs::read(&manifest).unwrap();
        fs::remove_file(&manifest).unwrap();
        fs::create_dir(&manifest).unwrap();
        for text in ["one", "two", "three"] {
            commit(engine, run, [checkpointed(tree(&artifacts, &[text]))]);
            engine.discard_rest().unwrap();
        }
        assert!(["one", "two", "three"].iter().all(|text| is_there(&artifacts, text)));
        fs::remove_dir(&manifest).unwrap();
        fs::write(&manifest, bytes).unwrap();
        commit(engine, run, [checkpointed(tree(&artifacts, &["four"]))]);
        assert!(["one", "two", "three"].iter().all(|text| !is_there(&artifacts, text)), "what waited goes as well");
        assert!(is_there(&artifacts, "four") && is_there(&artifacts, "output"));
    });
    assert_eq!(warnings.0.len(), 1, "{:?}", warnings.0);
    assert!(warnings.0[0].contains(&out.digest.as_str()[..16]), "{:?}", warnings.0);
}
