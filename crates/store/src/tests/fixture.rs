//! A state directory with an engine in it, and short constructors for events.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{Batch, CommitReport, EngineLock, MetricWrite, NewRun, Store, StoreError, Submitted};
use stepwell_base::artifact::{ArtifactRef, Digest, Outputs};
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::Failure;
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_base::protocol::MetricRow;
use stepwell_run::event::{Event, Recorded, ReleaseCause, RunEvent, StepEventKind};
use stepwell_workflow::key::spec_digest;
use stepwell_workflow::spec::{StepSpec, WorkflowSpec};

pub fn at(second: i64) -> Timestamp {
    Timestamp::new(1_700_000_000 + second, 123_000_000).unwrap()
}

/// A workflow with `a`, then `b` and the fan-out `c`, which both need `a`.
pub fn spec() -> WorkflowSpec {
    let step = |id: &str, needs: &[&str]| StepSpec {
        id: StepId::from(id),
        kind: "command".to_owned(),
        needs: needs.iter().map(|need| StepId::from(*need)).collect(),
        with: Map::new(),
        for_each: None,
        when: None,
        retry: Default::default(),
        timeout: Default::default(),
        child: None,
        resources: Default::default(),
        priority: 0,
        rate_limit: None,
        executor: None,
    };
    WorkflowSpec {
        name: "flow".to_owned(),
        description: String::new(),
        params: Map::new(),
        defaults: None,
        steps: vec![step("a", &[]), step("b", &["a"]), step("c", &["a"])],
        outputs: Map::new(),
        budget: Default::default(),
        sla: None,
        secrets: Default::default(),
    }
}

pub fn new_run(name: &str) -> NewRun {
    NewRun {
        id: RunId(Uuid::now_v7()),
        name: name.parse().unwrap(),
        spec: spec(),
        spec_digest: spec_digest(&spec()),
        idempotency_key: None,
        options: Default::default(),
        at: at(0),
    }
}

pub struct Engine {
    pub dir: TempDir,
    pub lock: EngineLock,
    pub store: Store,
}

impl Engine {
    pub fn start() -> Engine {
        let dir = tempfile::tempdir().unwrap();
        let lock = EngineLock::acquire(dir.path()).unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        store.begin_epoch(&lock).unwrap();
        Engine { dir, lock, store }
    }

    /// An engine with one started run.
    pub fn with_run() -> (Engine, RunId) {
        let mut engine = Engine::start();
        let run = engine.submit("one");
        engine.commit(run, [Event::Run(RunEvent::Started)]).unwrap();
        (engine, run)
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn submit(&mut self, name: &str) -> RunId {
        let run = new_run(name);
        let id = run.id;
        assert_eq!(self.store.submit(run).unwrap(), Submitted::New);
        id
    }

    pub fn commit(&mut self, run: RunId, events: impl IntoIterator<Item = Event>) -> Result<CommitReport, StoreError> {
        let events = recorded(run, events);
        self.store.commit(Batch { events: &events, ..Batch::default() })
    }

    pub fn metrics(&mut self, run: RunId, attempt: u32, steps: &[u64]) -> Result<CommitReport, StoreError> {
        let metrics = metrics(run, "a", attempt, steps);
        self.store.commit(Batch { metrics: &metrics, ..Batch::default() })
    }

    /// Ends the engine and returns its directory.
    pub fn stop(self) -> TempDir {
        drop(self.store);
        drop(self.lock);
        self.dir
    }
}

pub fn recorded(run: RunId, events: impl IntoIterator<Item = Event>) -> Vec<Recorded> {
    events.into_iter().map(|event| Recorded { run, at: at(1), event }).collect()
}

pub fn metrics(run: RunId, step: &str, attempt: u32, steps: &[u64]) -> Vec<MetricWrite> {
    let row = |&train_step: &u64| MetricRow {
        train_step,
        loss: 1.0 / train_step as f64,
        z_loss: None,
        learning_rate: 1e-3,
        grad_norm: 1.0,
        tokens_so_far: train_step * 100,
        tokens_per_second: 5.0,
        ..MetricRow::default()
    };
    steps.iter().map(|step_no| MetricWrite { run, step: StepId::from(step), attempt, row: row(step_no) }).collect()
}

pub fn started(step: &str, attempt: u32) -> Event {
    StepEventKind::AttemptStarted {
        attempt,
        key: StepKey(format!("key-{step}")),
        with: json!({"x": 1}),
        lease_expires_at: at(30),
        resources: Default::default(),
    }
    .under(StepId::from(step), Fence(u64::from(attempt)))
}

pub fn ready(step: &str) -> Event {
    StepEventKind::Ready { not_before: at(2) }.of(StepId::from(step))
}

pub fn failed(step: &str, fence: u64) -> Event {
    StepEventKind::AttemptFailed { failure: Failure::retryable("broken") }.under(StepId::from(step), Fence(fence))
}

pub fn released(step: &str, fence: u64) -> Event {
    StepEventKind::AttemptReleased { reason: "engine stopped".to_owned(), cause: Some(ReleaseCause::Stopped) }
        .under(StepId::from(step), Fence(fence))
}

pub fn succeeded(step: &str, fence: u64) -> Event {
    StepEventKind::Succeeded { outputs: outputs() }.under(StepId::from(step), Fence(fence))
}

pub fn rewound(step: &str, fence: u64, last_step: u64) -> Event {
    StepEventKind::AttemptRewound { last_step }.under(StepId::from(step), Fence(fence))
}

pub fn checkpointed(step: &str, fence: u64, last_step: u64) -> Event {
    StepEventKind::CheckpointCommitted { checkpoint: checkpoint(last_step) }.under(StepId::from(step), Fence(fence))
}

pub fn checkpoint(last_step: u64) -> Checkpoint {
    Checkpoint {
        artifact: Some(artifact(&format!("checkpoint {last_step}"))),
        state: json!({"cursor": last_step}),
        last_step: Some(last_step),
        last_doc_index: Some(last_step * 10),
        tokens_so_far: Some(last_step * 100),
        loss: Some(1.0 / last_step as f64),
        phase: Some("one".to_owned()),
        permanent: last_step.is_multiple_of(2),
        keep: None,
        ..Checkpoint::default()
    }
}

pub fn artifact(text: &str) -> ArtifactRef {
    ArtifactRef { digest: Digest::of(text.as_bytes()), size: text.len() as u64, media_type: "text/plain".to_owned() }
}

pub fn outputs() -> Outputs {
    let values = match json!({"n": 3}) {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    Outputs { artifacts: BTreeMap::from([("out".to_owned(), artifact("out"))]), values }
}
