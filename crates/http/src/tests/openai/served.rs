//! What a client does, and an engine that does what a test says.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::openai::round;
use crate::tests::fixture::{Lab, bearer, request};
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::Failure;
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_run::event::{Event, Recorded, RunEvent, StepEventKind};
use stepwell_store::{Batch, EngineLock, Store};

pub const BOUNDARY: &str = "XXboundaryXX";

/// A part of a form.
pub fn part(name: &str, filename: Option<&str>, content: &str) -> String {
    let filename = filename.map(|name| format!("; filename=\"{name}\"")).unwrap_or_default();
    format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{filename}\r\n\r\n{content}\r\n")
}

pub fn form(parts: &[String]) -> String {
    format!("{}--{BOUNDARY}--\r\n", parts.concat())
}

pub fn send_form(lab: &Lab, parts: &[String]) -> (StatusCode, Value) {
    let request = request("POST", "/v1/files")
        .header(header::AUTHORIZATION, bearer(&lab.run))
        .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}"));
    lab.json(request.body(Body::from(form(parts))).unwrap())
}

pub fn upload(lab: &Lab, content: &str) -> Value {
    let (status, file) = send_form(lab, &[part("purpose", None, "batch"), part("file", Some("in.jsonl"), content)]);
    assert_eq!(status, StatusCode::OK, "{file}");
    file
}

/// A good line.
pub fn line(id: &str) -> String {
    let body = json!({ "model": "m", "prompt": "Once", "max_tokens": 4 });
    format!("{}\n", json!({ "custom_id": id, "method": "POST", "url": "/v1/completions", "body": body }))
}

pub fn lines(count: usize) -> String {
    (0..count).map(|number| line(&format!("r{number}"))).collect()
}

pub fn asked(input: &Value) -> Value {
    json!({ "input_file_id": input["id"], "endpoint": "/v1/completions", "completion_window": "24h" })
}

/// A batch over so many good lines.
pub fn create(lab: &Lab, count: usize) -> Value {
    let file = upload(lab, &lines(count));
    let (status, batch) = lab.post("/v1/batches", &lab.run, asked(&file));
    assert_eq!(status, StatusCode::OK, "{batch}");
    batch
}

pub fn show(lab: &Lab, batch: &Value) -> Value {
    let (status, batch) = lab.get(&format!("/v1/batches/{}", batch["id"].as_str().unwrap()), &lab.read);
    assert_eq!(status, StatusCode::OK, "{batch}");
    batch
}

pub fn cancel(lab: &Lab, batch: &Value) -> (StatusCode, Value) {
    lab.post(&format!("/v1/batches/{}/cancel", batch["id"].as_str().unwrap()), &lab.run, json!({}))
}

/// Looks after the batches once.
pub fn look(lab: &Lab) -> usize {
    lab.runtime.block_on(round(&lab.app)).unwrap()
}

pub fn content(lab: &Lab, file: &Value) -> Response<Body> {
    let request = request("GET", &format!("/v1/files/{}/content", file.as_str().unwrap()))
        .header(header::AUTHORIZATION, bearer(&lab.read))
        .header(header::ACCEPT, "application/binary");
    lab.send(request.body(Body::empty()).unwrap())
}

/// The run that answers the rows of a batch, or the one that closes it.
pub fn run_of(lab: &Lab, key: &str) -> Option<RunId> {
    lab.store().reader().run_of_key(key).unwrap()
}

/// Names of runs, so that a test can count them.
pub fn runs(lab: &Lab) -> usize {
    lab.store().reader().runs().unwrap().readable.len()
}

/// How an engine ends a run.
pub enum End {
    /// With answers and error lines.
    Succeeds {
        output: String,
        errors: String,
        completed: u64,
        failed: u64,
    },
    Fails(&'static str),
    Canceled,
}

impl End {
    pub fn answers(count: usize) -> End {
        let output = (0..count).map(|number| format!("{{\"custom_id\":\"r{number}\"}}\n")).collect();
        End::Succeeds { output, errors: String::new(), completed: count as u64, failed: 0 }
    }
}

fn started(run: RunId, step: &StepId) -> Vec<Event> {
    let started = StepEventKind::AttemptStarted {
        attempt: 1,
        key: StepKey(format!("key-{run}")),
        with: json!({}),
        lease_expires_at: Timestamp::now() + SignedDuration::from_secs(30),
        resources: Default::default(),
    };
    vec![Event::Run(RunEvent::Started), started.under(step.clone(), Fence(1))]
}

fn commit(lab: &Lab, run: RunId, events: Vec<Event>) {
    let lock = EngineLock::acquire(lab.dir.path()).unwrap();
    let mut store = Store::open(lab.dir.path()).unwrap();
    store.begin_epoch(&lock).unwrap();
    let events: Vec<Recorded> = events.into_iter().map(|event| Recorded { run, at: Timestamp::now(), event }).collect();
    store.commit(Batch { events: &events, ..Batch::default() }).unwrap();
}

/// Works at a run as an engine does, until so many rows have ended.
pub fn work(lab: &Lab, run: RunId, rows: u64, failed: u64) {
    let step = StepId::from("one");
    let mut events = started(run, &step);
    let checkpoint = Checkpoint { state: json!({ "rows": rows, "failed": failed }), ..Checkpoint::default() };
    events.push(StepEventKind::CheckpointCommitted { checkpoint }.under(step, Fence(1)));
    commit(lab, run, events);
}

/// Ends a run as an engine does.
pub fn end(lab: &Lab, run: RunId, end: End) {
    let step = StepId::from("one");
    let mut events = started(run, &step);
    match end {
        End::Succeeds { output, errors, completed, failed } => {
            let artifacts = ArtifactStore::open(lab.dir.path()).unwrap();
            let put = |text: &str| artifacts.put_bytes(text.as_bytes(), "application/jsonl").unwrap();
            let files: BTreeMap<String, ArtifactRef> =
                [("output".to_owned(), put(&output)), ("errors".to_owned(), put(&errors))].into();
            let values =
                json!({ "completed": completed, "failed": failed, "prompt_tokens": 5, "completion_tokens": 7 });
            let Value::Object(values) = values else { unreachable!() };
            let outputs = Outputs { artifacts: files, values };
            events.push(StepEventKind::Succeeded { outputs }.under(step, Fence(1)));
            events.push(Event::Run(RunEvent::Succeeded));
        }
        End::Fails(why) => {
            let failure = Failure::fatal(why);
            events.push(StepEventKind::Failed { failure: failure.clone() }.under(step.clone(), Fence(1)));
            events.push(Event::Run(RunEvent::Failed { step, failure }));
        }
        End::Canceled => {
            events.push(Event::Run(RunEvent::CancelRequested));
            events.push(StepEventKind::Canceled.under(step, Fence(1)));
            events.push(Event::Run(RunEvent::Canceled));
        }
    }
    commit(lab, run, events);
}
