//! Shows, with an engine in this process, that work does not grow with history.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use serde_json::json;

use crate::engine::tests::waiting::{drive_until_idle, shelf};
use crate::engine::tests::{LocalEngine, open, options, submit_with};
use crate::inbox::Inbox;
use crate::*;
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_base::protocol::{MetricRow, Progress};
use stepwell_run::command::Command;
use stepwell_run::event::{Event, PauseCause, Recorded, RunEvent, StepEventKind, Verdict, Wait};
use stepwell_run::request::Request;
use stepwell_run::state::Lifecycle;
use stepwell_store::statements::{assert_bounded, statements};
use stepwell_store::{Batch, EngineLock, scratch_dir};

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
        // Covers a worker, a request without an engine, and a start with unfinished work.
        assert_eq!(drive_until_idle(folder.path()), Outcome::Idle);
        let signal = Request::Signal { name: "go".to_owned(), payload: json!(1) };
        assert_eq!(ask(folder.path(), run, &signal).unwrap(), Asked::Done);
        let outcome = drive(options(folder.path(), Scope::Run(run)), &mut Quiet).unwrap();
        assert_eq!(outcome, Outcome::Succeeded);
    });
    assert_bounded(folder.path(), &seen);
}

#[test]
fn an_engine_removes_what_the_newest_runs_have_left_however_soon_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let noop = |name: &str| format!("name = \"{name}\"\n[[step]]\nid = \"a\"\nkind = \"noop\"\n");
    let old = submit_with(folder.path(), &noop("old"), &shelf());
    assert_eq!(drive(options(folder.path(), Scope::Run(old)), &mut Quiet).unwrap(), Outcome::Succeeded);
    let left = scratch_dir(folder.path(), old, &"a".into());
    fs::create_dir_all(&left).unwrap();
    let next = submit_with(folder.path(), &noop("next"), &shelf());
    assert_eq!(drive(options(folder.path(), Scope::Run(next)), &mut Quiet).unwrap(), Outcome::Succeeded);
    assert!(!left.exists());
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
    artifacts.blob_path(&stepwell_base::artifact::Digest::of(text.as_bytes())).exists()
}

fn started(step: &str) -> Event {
    StepEventKind::AttemptStarted {
        attempt: 1,
        key: StepKey("key".to_owned()),
        with: json!({}),
        lease_expires_at: Timestamp::now() + std::time::Duration::from_secs(60),
        resources: Default::default(),
    }
    .under(step.into(), Fence(1))
}

/// A checkpoint that replaces the previous one.
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
        ..Checkpoint::default()
    };
    StepEventKind::CheckpointCommitted { checkpoint }.under("train".into(), Fence(1))
}

/// Commits in the engine's order: the tables, then the notes, then the dropped content.
fn commit(engine: &mut LocalEngine<'_>, run: RunId, events: impl IntoIterator<Item = Event>) {
    let events: Vec<Recorded> = events.into_iter().map(|event| Recorded { run, at: Timestamp::now(), event }).collect();
    let report = engine.store.commit(Batch { events: &events, ..Batch::default() }).unwrap();
    engine.discards.note(&events, &engine.options.state_dir, &engine.artifacts);
    engine.discard(report.dropped).unwrap();
}

fn with_engine(state_dir: &Path, observer: &mut dyn Observer, work: impl FnOnce(&mut LocalEngine<'_>)) {
    let lock = EngineLock::acquire(state_dir).unwrap();
    let inbox = Inbox::open(state_dir).unwrap();
    work(&mut open(&lock, options(state_dir, Scope::Requests), observer, &inbox));
}

#[test]
fn content_of_a_replaced_checkpoint_goes_unless_a_tree_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let run = submit_with(folder.path(), STEPS, &shelf());
    let artifacts = ArtifactStore::open(folder.path()).unwrap();
    with_engine(folder.path(), &mut Quiet, |engine| {
        commit(engine, run, [Event::Run(RunEvent::Started), started("train"), started("other")]);
        commit(engine, run, [checkpointed(tree(&artifacts, &["shared", "old", "output", "early"]))]);
        // This checkpoint is committed after the trees are indexed.
        let out = tree(&artifacts, &["output", "x"]);
        let outputs = Outputs { artifacts: [("out".to_owned(), out)].into(), ..Outputs::default() };
        commit(engine, run, [StepEventKind::Succeeded { outputs }.under("other".into(), Fence(1))]);
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
        let end = StepEventKind::Succeeded { outputs }.under("other".into(), Fence(1));
        commit(engine, run, [Event::Run(RunEvent::Started), started("train"), started("other"), end]);
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

const ASKS: &str = r#"
name = "asks"
[[step]]
id = "a"
kind = "approval"
with.prompt = "continue?"
timeout.schedule_to_close = "1h"
"#;

const ASKING_CHILDREN: &str = r#"
name = "parent"
[[step]]
id = "each"
kind = "workflow"
for_each = "range(20)"
with = { workflow = "child.toml", params = { ok = false } }
"#;

fn approve(step: &str) -> Command {
    let (verdict, approver) = (Verdict::Approved, "ada".to_owned());
    Command::Decide { step: step.into(), verdict, approver, comment: None }
}

/// Runs `work` with a worker that has done everything that needs no person.
fn with_idle_worker(state_dir: &Path, work: impl FnOnce(&mut LocalEngine<'_>)) {
    let lock = EngineLock::acquire(state_dir).unwrap();
    let inbox = Inbox::open(state_dir).unwrap();
    let scope = Scope::All { exit_when_idle: true };
    let mut quiet = Quiet;
    let mut engine = open(&lock, options(state_dir, scope), &mut quiet, &inbox);
    engine.recover().unwrap();
    engine.check_clock();
    loop {
        engine.schedule_steps().unwrap();
        engine.flush_all().unwrap();
        if engine.attempts.is_empty() && engine.runs.is_idle(engine.round_at) {
            break;
        }
        engine.listen(&inbox).unwrap();
    }
    work(&mut engine);
}

#[test]
fn a_round_looks_at_the_runs_that_have_changed_only() {
    let folder = tempfile::tempdir().unwrap();
    let runs: Vec<RunId> =
        (0..20).map(|n| submit_with(folder.path(), &ASKS.replace("asks", &format!("asks-{n}")), &shelf())).collect();
    with_idle_worker(folder.path(), |engine| {
        let patience = engine.time_to_wait().unwrap();
        assert!(patience.as_secs() > 3000, "{patience:?}");
        engine.check_clock();
        assert_eq!(engine.runs.touched(), 0, "nothing is due");
        engine.handle(runs[7], approve("a"));
        engine.schedule_steps().unwrap();
        assert!(engine.runs.touched() <= 1);
        engine.flush_all().unwrap();
        engine.forget_ended_runs();
        let in_memory = |run: &RunId| engine.runs.contains_key(run);
        assert_eq!(runs.iter().filter(|run| in_memory(run)).count(), 19);
        assert!(engine.time_to_wait().is_some_and(|patience| patience.as_secs() > 3000));
    });
}

#[test]
fn the_end_of_one_child_run_is_no_look_at_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let parent = submit_with(folder.path(), ASKING_CHILDREN, &shelf());
    with_idle_worker(folder.path(), |engine| {
        assert_eq!(engine.family.waits().len(), 0);
        let waits = engine.runs.get(&parent).unwrap().state.waits();
        let children: Vec<RunId> = waits.filter_map(|(_, wait)| awaited_run(wait)).collect();
        assert_eq!(children.len(), 20);
        engine.handle(children[3], approve("ask"));
        engine.claim().unwrap();
        assert_eq!(engine.family.waits().iter().map(|(.., child)| *child).collect::<Vec<_>>(), [children[3]]);
        engine.schedule_steps().unwrap();
        assert_eq!(engine.runs.get(&parent).unwrap().state.waits().count(), 19);
        // An event of the parent concerns all of its child runs.
        engine.handle(parent, Command::Pause { cause: PauseCause::Person, reason: "x".to_owned() });
        assert_eq!(engine.family.waits().len(), 19);
        engine.schedule_steps().unwrap();
        let paused =
            |child: &&RunId| engine.runs.get(child).is_some_and(|run| run.state.lifecycle == Lifecycle::Paused);
        assert_eq!(children.iter().filter(paused).count(), 19);
        // The resume comes before the pause is committed, but its cause is known already.
        engine.handle(parent, Command::Resume);
        engine.schedule_steps().unwrap();
        let paused =
            |child: &&RunId| engine.runs.get(child).is_some_and(|run| run.state.lifecycle == Lifecycle::Paused);
        assert_eq!(children.iter().filter(paused).count(), 0);
    });
}

fn awaited_run(wait: &Wait) -> Option<RunId> {
    match wait {
        Wait::Run { run } => Some(*run),
        _ => None,
    }
}
