//! A state directory that tests fill with events, with fixed ids and times, so that text for people can be compared whole.

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::arguments::GlobalArgs;
use crate::drive::workflow_source::Files;
use crate::session::Session;
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::Failure;
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_base::protocol::{Measurement, MetricRow, SeriesChange};
use stepwell_run::event::{Event, Recorded, RunEvent, StepEventKind};
use stepwell_run::project::Project;
use stepwell_run::run_options::{Origin, RunOptions};
use stepwell_store::{Batch, EngineLock, MetricWrite, NewRun, SeriesWrite, Store, Submitted};
use stepwell_workflow::key::spec_digest;
use stepwell_workflow::parse;

/// A run to submit.
#[derive(Default)]
pub struct Sketch<'a> {
    pub name: &'a str,
    pub workflow: &'a str,
    pub set: &'a [(&'a str, &'a str)],
    pub origin: Option<Origin>,
    pub project: Option<Project>,
    /// Like the workflows of builds that did not record defaults.
    pub is_old: bool,
}

pub struct Lab {
    pub dir: TempDir,
    store: Store,
    /// `None` once the engine is gone.
    lock: Option<EngineLock>,
    runs: u64,
}

/// 2026-11-30 05:00:00 UTC and so many seconds.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_796_014_800 + second).unwrap()
}

impl Lab {
    pub fn new() -> Lab {
        let dir = tempfile::tempdir().unwrap();
        let lock = EngineLock::acquire(dir.path()).unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        store.begin_epoch(&lock).unwrap();
        Lab { dir, store, lock: Some(lock), runs: 0 }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn session(&self) -> Session {
        let global = GlobalArgs { state_dir: Some(self.path().to_owned()), ..GlobalArgs::default() };
        Session::new(&global).unwrap()
    }

    /// From now on, no engine holds the state.
    pub fn engine_dies(&mut self) {
        self.lock = None;
    }

    /// Submits and starts a run, a minute after the one before.
    pub fn run(&mut self, sketch: Sketch<'_>) -> RunId {
        self.runs += 1;
        let set: Vec<_> = sketch.set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut spec =
            parse::workflow(sketch.workflow, "w.toml", &set, &stepwell_steps::catalog(), &Files).expect("a workflow");
        if sketch.is_old {
            spec.defaults = None;
        }
        let id = RunId(Uuid::from_u128(
            0x01a2_b3c4_0000_7000_8000_0000_0000_0000 + (u128::from(self.runs) << 80) + (u128::from(self.runs) << 16),
        ));
        let new = NewRun {
            id,
            name: sketch.name.parse().unwrap(),
            spec_digest: spec_digest(&spec),
            spec,
            idempotency_key: None,
            options: RunOptions { origin: sketch.origin, project: sketch.project, ..RunOptions::default() },
            at: self.now(0),
        };
        assert_eq!(self.store.submit(new).unwrap(), Submitted::New);
        self.commit(id, 0, [Event::Run(RunEvent::Started)]);
        id
    }

    fn now(&self, second: i64) -> Timestamp {
        at(60 * self.runs.cast_signed() + second)
    }

    /// Commits events, so many seconds after the newest run was submitted.
    pub fn commit(&mut self, run: RunId, second: i64, events: impl IntoIterator<Item = Event>) {
        let at = self.now(second);
        let events: Vec<Recorded> = events.into_iter().map(|event| Recorded { run, at, event }).collect();
        self.store.commit(Batch { events: &events, ..Batch::default() }).unwrap();
    }

    /// Starts the first attempt of a step.
    pub fn start(&mut self, run: RunId, second: i64, step: &str) {
        let kind = StepEventKind::AttemptStarted {
            attempt: 1,
            key: StepKey(format!("key-{step}")),
            with: json!({ "argv": ["true"] }),
            lease_expires_at: self.now(second + 600),
            resources: Default::default(),
        };
        self.commit(run, second, [kind.under(step.into(), Fence(1))]);
    }

    /// The attempt before is gone, and the next one starts.
    #[cfg(feature = "train")]
    pub fn restart(&mut self, run: RunId, step: &str, attempt: u32) {
        let kind = StepEventKind::AttemptReleased { reason: "killed".to_owned(), cause: None };
        self.commit(run, 1, [kind.under(step.into(), Fence(u64::from(attempt - 1)))]);
        let kind = StepEventKind::AttemptStarted {
            attempt,
            key: StepKey(format!("key-{step}")),
            with: json!({ "argv": ["true"] }),
            lease_expires_at: self.now(600),
            resources: Default::default(),
        };
        self.commit(run, 1, [kind.under(step.into(), Fence(u64::from(attempt)))]);
    }

    /// What a program has reported.
    pub fn series(&mut self, (run, step, attempt): (RunId, &str, u32), changes: &[SeriesChange]) {
        let write = |change: &SeriesChange| SeriesWrite { run, step: step.into(), attempt, change: change.clone() };
        let series: Vec<SeriesWrite> = changes.iter().map(write).collect();
        self.store.commit(Batch { series: &series, ..Batch::default() }).unwrap();
    }

    /// A step that works for a second and gives these values.
    pub fn succeed(&mut self, run: RunId, second: i64, step: &str, values: &Value) {
        self.start(run, second, step);
        let outputs = Outputs { values: values.as_object().unwrap().clone(), ..Outputs::default() };
        self.commit(run, second + 1, [StepEventKind::Succeeded { outputs }.under(step.into(), Fence(1))]);
    }

    /// A step that works for a second and fails for good.
    pub fn fail(&mut self, run: RunId, second: i64, step: &str, message: &str) {
        self.start(run, second, step);
        let failure = Failure::fatal(message);
        self.commit(run, second + 1, [StepEventKind::Failed { failure }.under(step.into(), Fence(1))]);
    }

    pub fn ready(&mut self, run: RunId, second: i64, step: &str) {
        let not_before = self.now(second);
        self.commit(run, second, [StepEventKind::Ready { not_before }.of(step.into())]);
    }

    /// Expands a fan-out; all of its items are ready.
    pub fn expand(&mut self, run: RunId, second: i64, step: &str, items: Vec<Value>) {
        let count = items.len();
        self.commit(run, second, [StepEventKind::Expanded { items }.of(step.into())]);
        let not_before = self.now(second);
        let ready = |index| StepEventKind::Ready { not_before }.of(StepId::from(step).child(index));
        self.commit(run, second, (0..count).map(ready));
    }

    pub fn metric(&mut self, run: RunId, step: &str, train_step: u64, loss: f64) {
        self.metric_of((run, step, 1), train_step, loss);
    }

    /// A row of an attempt of a step.
    pub fn metric_of(&mut self, at: (RunId, &str, u32), train_step: u64, loss: f64) {
        self.metrics_of(at, [(train_step, loss)]);
    }

    /// Rows of the first attempt of a step, in one commit.
    pub fn metrics(&mut self, run: RunId, step: &str, losses: impl IntoIterator<Item = (u64, f64)>) {
        self.metrics_of((run, step, 1), losses);
    }

    fn metrics_of(&mut self, (run, step, attempt): (RunId, &str, u32), losses: impl IntoIterator<Item = (u64, f64)>) {
        let row = |(train_step, loss)| MetricRow {
            train_step,
            loss,
            z_loss: None,
            learning_rate: 1e-3,
            grad_norm: 1.0,
            tokens_so_far: 256 * train_step,
            tokens_per_second: 1000.0,
            ..MetricRow::default()
        };
        let write = |row| MetricWrite { run, step: step.into(), attempt, row };
        let metrics: Vec<MetricWrite> = losses.into_iter().map(row).map(write).collect();
        self.store.commit(Batch { metrics: &metrics, ..Batch::default() }).unwrap();
    }

    /// A row such as that of a program, which counts no tokens.
    pub fn bare_metric(&mut self, run: RunId, step: &str, train_step: u64, loss: f64) {
        let row = MetricRow { train_step, loss, ..MetricRow::default() };
        let metrics = [MetricWrite { run, step: step.into(), attempt: 1, row }];
        self.store.commit(Batch { metrics: &metrics, ..Batch::default() }).unwrap();
    }

    /// Numbers that the first attempt of a program reports.
    pub fn measure(&mut self, run: RunId, step: &str, train_step: u64, values: &[(&str, f64)]) {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        self.series((run, step, 1), &[SeriesChange::Add(Measurement { train_step, values })]);
    }
}
