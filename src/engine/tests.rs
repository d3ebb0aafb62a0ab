//! The engine in this process, with kinds that need no other.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::run::placement;
use super::*;
use crate::core::apply::apply;
use crate::core::event::Recorded;
use crate::core::ids::{RunId, StepId};
use crate::core::protocol::{MetricRow, Progress};
use crate::core::state::RunState;
use crate::core::status::{RunStatus, StepStatus};
use crate::core::{key, parse};
use crate::steps::catalog;
use crate::store::{NewRun, Reader, Store};

#[derive(Default)]
struct Recorder {
    events: Vec<Recorded>,
}

impl Observer for Recorder {
    fn event(&mut self, recorded: &Recorded) {
        self.events.push(recorded.clone());
    }

    fn progress(&mut self, _run: RunId, _step: &StepId, _progress: &Progress) {}

    fn metric(&mut self, _run: RunId, _step: &StepId, _row: &MetricRow) {}
}

fn submit(state_dir: &Path, workflow: &str) -> RunId {
    let spec = parse::workflow(workflow, "w.toml", &[], &catalog(), &parse::NoLibrary).unwrap();
    let id = RunId(Uuid::now_v7());
    let new = NewRun {
        id,
        name: spec.name.clone(),
        spec_digest: key::spec_digest(&spec),
        spec,
        idempotency_key: None,
        options: Default::default(),
        at: Timestamp::now(),
    };
    Store::open(state_dir).unwrap().submit(new).unwrap();
    id
}

fn options(state_dir: &Path, scope: Scope) -> EngineOptions {
    EngineOptions { state_dir: state_dir.to_owned(), scope, slots: 2, crash_loop_limit: 0, reuse: true }
}

const WORKFLOW: &str = r#"
name = "w"
[[step]]
id = "list"
kind = "noop"
with.values.items = [1, 2, 3]
[[step]]
id = "each"
kind = "noop"
for_each = "steps.list.values.items"
with.values.double = "{{ item * 2 }}"
[[step]]
id = "all"
kind = "noop"
with.values.doubles = "{{ steps.each.values.double }}"
[[step]]
id = "broken"
kind = "noop"
with.values.x = "{{ steps.list.values.items[7].y }}"
[[step]]
id = "waiting"
kind = "noop"
needs = ["broken"]
"#;

#[test]
fn events_replay_to_what_the_tables_say() {
    let folder = tempfile::tempdir().unwrap();
    let run = submit(folder.path(), WORKFLOW);
    let mut recorder = Recorder::default();
    let outcome = drive(options(folder.path(), Scope::Run(run)), &mut recorder).unwrap();
    assert_eq!(outcome, Outcome::Failed);

    let reader = Reader::open(folder.path()).unwrap();
    let spec = Arc::new(reader.spec(run).unwrap());
    let mut replayed = RunState::new(run, spec.clone(), placement);
    for row in reader.events(Some(run), 0).unwrap() {
        apply(&mut replayed, row.at, &row.event);
    }
    let rows = reader.steps(run).unwrap();
    let restored = state_from_rows(spec, &reader.run(run).unwrap(), &rows, placement);
    assert_eq!(restored.end, replayed.end);
    assert_eq!(rows.len(), 8);
    for row in &rows {
        let (a, b) = (restored.step(&row.id).unwrap(), replayed.step(&row.id).unwrap());
        assert_eq!(
            (&a.state, a.fence, a.attempts, a.failures, &a.key),
            (&b.state, b.fence, b.attempts, b.failures, &b.key)
        );
    }
    let status = |id: &str| rows.iter().find(|row| row.id.as_str() == id).unwrap().status;
    assert_eq!(status("all"), StepStatus::Succeeded);
    assert_eq!(status("broken"), StepStatus::Failed);
    assert_eq!(status("waiting"), StepStatus::Pending);
    // The observer has seen exactly what was committed after the submission.
    let committed = reader.events(Some(run), 0).unwrap();
    let seen = &committed[committed.len() - recorder.events.len()..];
    assert!(seen.iter().zip(&recorder.events).all(|(row, recorded)| row.event == recorded.event));
}

#[test]
fn a_worker_takes_submitted_runs_and_goes_idle() {
    let folder = tempfile::tempdir().unwrap();
    let good = WORKFLOW.split("[[step]]\nid = \"broken\"").next().unwrap();
    let first = submit(folder.path(), good);
    let second = submit(folder.path(), &good.replace("name = \"w\"", "name = \"v\""));
    let status = |run| Reader::open(folder.path()).unwrap().run(run).unwrap().stored_status;
    assert_eq!(status(first), RunStatus::Pending);
    let outcome = drive(options(folder.path(), Scope::All { exit_when_idle: true }), &mut Quiet).unwrap();
    assert_eq!(outcome, Outcome::Idle);
    assert_eq!((status(first), status(second)), (RunStatus::Succeeded, RunStatus::Succeeded));
}

#[test]
fn canceling_a_pending_run_needs_no_engine() {
    let folder = tempfile::tempdir().unwrap();
    let run = submit(folder.path(), WORKFLOW);
    assert_eq!(cancel(folder.path(), run).unwrap(), Canceled::Done);
    assert_eq!(cancel(folder.path(), run).unwrap(), Canceled::EndedBefore(RunStatus::Canceled));
}

#[test]
fn an_unknown_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    submit(folder.path(), WORKFLOW);
    let unknown = Scope::Run(RunId(Uuid::now_v7()));
    assert!(matches!(drive(options(folder.path(), unknown), &mut Quiet), Err(EngineError::Store(_))));
}
