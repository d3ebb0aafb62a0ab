//! A router over a real database, and a desk that only remembers.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt;
use uuid::Uuid;

use crate::desk::{Ask, Derived, Desk, DeskError, EngineView, ModelCard, NewSchedule, SeriesPart, Submit, Submitted};
use crate::guard::{Hosts, issue_code, issue_token};
use crate::openai::{BatchRun, CompletionSink, InferenceLoad};
use crate::serve::app;
use crate::state::AppState;
use crate::table;
use stepwell_base::artifact::Digest;
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::scope::Scope;
use stepwell_run::health::MachineReadings;
use stepwell_run::run_options::RunOptions;
use stepwell_store::{NewRun, Store};
use stepwell_workflow::key;
use stepwell_workflow::spec::{StepSpec, WorkflowSpec};

pub const HOST: &str = "127.0.0.1:7878";
pub const ORIGIN: &str = "http://127.0.0.1:7878";

pub struct Lab {
    pub dir: TempDir,
    pub runtime: Runtime,
    pub app: AppState,
    pub desk: Arc<FakeDesk>,
    router: Router,
    pub read: String,
    pub infer: String,
    pub run: String,
    pub admin: String,
}

impl Lab {
    pub fn new() -> Lab {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        let mut token = |name, scope| issue_token(&mut store, name, scope, None).unwrap().text;
        let (read, infer) = (token("read", Scope::Read), token("infer", Scope::Infer));
        let (run, admin) = (token("run", Scope::Run), token("admin", Scope::Admin));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let address = HOST.parse().unwrap();
        let hosts = Hosts::new(address, false, &[]).unwrap();
        let desk = Arc::new(FakeDesk::new(dir.path()));
        let app = app(dir.path().to_owned(), (address, hosts), desk.clone(), store);
        runtime.spawn(app.feed().clone().watch(app.clone()));
        let router = table::router(table::routes(), app.clone());
        Lab { dir, runtime, app, desk, router, read, infer, run, admin }
    }

    pub fn store(&self) -> Store {
        Store::open(self.dir.path()).unwrap()
    }

    pub fn code(&self) -> String {
        issue_code(&mut self.store(), "browser", Scope::Admin).unwrap().text
    }

    pub fn submit(&self, name: &str) -> RunId {
        submit(&mut self.store(), name)
    }

    /// Sends a request as it is.
    pub fn send(&self, request: Request<Body>) -> Response<Body> {
        let router = self.router.clone();
        self.runtime.block_on(async move { router.oneshot(request).await.unwrap() })
    }

    pub fn get(&self, path: &str, token: &str) -> (StatusCode, Value) {
        self.json(request("GET", path).header(header::AUTHORIZATION, bearer(token)).body(Body::empty()).unwrap())
    }

    pub fn post(&self, path: &str, token: &str, body: Value) -> (StatusCode, Value) {
        let request = request("POST", path)
            .header(header::AUTHORIZATION, bearer(token))
            .header(header::CONTENT_TYPE, "application/json");
        self.json(request.body(Body::from(body.to_string())).unwrap())
    }

    pub fn json(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.send(request);
        let status = response.status();
        let bytes = self.body(response);
        (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes))))
    }

    pub fn body(&self, response: Response<Body>) -> Vec<u8> {
        self.runtime.block_on(async { axum::body::to_bytes(response.into_body(), 64 << 20).await.unwrap().to_vec() })
    }
}

pub fn request(method: &str, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header(header::HOST, HOST)
}

pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

pub fn submit(store: &mut Store, name: &str) -> RunId {
    submit_under(store, name, None)
}

pub fn submit_under(store: &mut Store, name: &str, idempotency_key: Option<String>) -> RunId {
    let spec = spec();
    let id = RunId(Uuid::now_v7());
    let new = NewRun {
        id,
        name: name.parse().unwrap(),
        spec_digest: key::spec_digest(&spec),
        spec,
        idempotency_key,
        options: RunOptions::default(),
        at: Timestamp::now(),
    };
    match store.submit(new).unwrap() {
        stepwell_store::Submitted::New => id,
        stepwell_store::Submitted::Existing(earlier) => earlier,
    }
}

fn spec() -> WorkflowSpec {
    let step = StepSpec {
        id: StepId::from("one"),
        kind: "noop".to_owned(),
        needs: Vec::new(),
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
        name: "w".to_owned(),
        description: String::new(),
        params: Map::new(),
        defaults: None,
        steps: vec![step],
        outputs: Map::new(),
        budget: Default::default(),
        sla: None,
        secrets: Default::default(),
    }
}

pub struct FakeDesk {
    state_dir: std::path::PathBuf,
    pub asked: Mutex<Vec<String>>,
    /// What was asked of models, and where their answers go.
    pub completions: Mutex<Vec<(stepwell_batch::body::Body, CompletionSink)>>,
    pub batches: Mutex<Vec<BatchRun>>,
    pub load: Mutex<InferenceLoad>,
    /// True to refuse the runs of batches.
    pub refuses: Mutex<bool>,
}

impl FakeDesk {
    fn new(state_dir: &std::path::Path) -> FakeDesk {
        FakeDesk {
            state_dir: state_dir.to_owned(),
            asked: Mutex::default(),
            completions: Mutex::default(),
            batches: Mutex::default(),
            load: Mutex::default(),
            refuses: Mutex::default(),
        }
    }

    fn note(&self, asked: String) {
        self.asked.lock().unwrap().push(asked);
    }
}

impl Desk for FakeDesk {
    fn engine(&self) -> EngineView {
        EngineView::Nobody("a test".to_owned())
    }

    fn submit(&self, new: Submit) -> Result<Submitted, DeskError> {
        self.note(format!("{new:?}"));
        let name = new.name.map_or_else(|| "made".to_owned(), |name| name.to_string());
        let run = submit(&mut Store::open(&self.state_dir).unwrap(), &name);
        Ok(Submitted { run, new: true })
    }

    fn derive(&self, new: Derived) -> Result<Submitted, DeskError> {
        self.note(format!("{new:?}"));
        Ok(Submitted { run: new.run, new: true })
    }

    fn ask(&self, run: RunId, ask: Ask) -> Result<(), DeskError> {
        self.note(format!("{run} {ask:?}"));
        Ok(())
    }

    fn wake(&self) {}

    fn explain(&self, _: RunId, _: Option<&StepId>) -> Result<Value, DeskError> {
        Ok(json!({ "steps": [] }))
    }

    fn effort(&self, _: RunId) -> Result<Value, DeskError> {
        Ok(json!({ "compute_seconds": 0.0 }))
    }

    fn machine(&self) -> MachineReadings {
        MachineReadings { disk_free_bytes: Some(1 << 40), memory: None }
    }

    fn series(&self, run: RunId, step: &StepId) -> Result<Vec<SeriesPart>, DeskError> {
        Ok(vec![SeriesPart { run, step: step.clone(), up_to: None }])
    }

    fn provenance(&self, digest: &Digest) -> Result<Value, DeskError> {
        Ok(json!({ "artifact": digest }))
    }

    fn pools(&self) -> Result<Value, DeskError> {
        Ok(json!({ "slots": 1 }))
    }

    fn schedules(&self) -> Result<Value, DeskError> {
        Ok(json!({ "schedules": [] }))
    }

    fn add_schedule(&self, new: NewSchedule) -> Result<(), DeskError> {
        self.note(format!("{new:?}"));
        Ok(())
    }

    fn webhooks(&self) -> Result<Value, DeskError> {
        Ok(json!({ "webhooks": [] }))
    }

    fn test_webhook(&self, name: &str) -> Result<Value, DeskError> {
        self.note(format!("test {name}"));
        Ok(json!({ "webhook": name, "delivered": true }))
    }

    fn workflows(&self) -> Result<Vec<String>, DeskError> {
        Ok(vec!["w".to_owned()])
    }

    fn workflow(&self, name: &str) -> Result<Value, DeskError> {
        Ok(json!({ "workflow": name }))
    }

    fn models(&self) -> Result<Vec<ModelCard>, DeskError> {
        Ok(vec![ModelCard { id: "m".to_owned(), created_at: Timestamp::UNIX_EPOCH, context: Some(8192) }])
    }

    fn start_batch(&self, new: BatchRun) -> Result<RunId, DeskError> {
        if *self.refuses.lock().unwrap() {
            let message = "the model is gone".to_owned();
            return Err(DeskError { code: "not_found", message, hint: None, problems: None });
        }
        let mut store = Store::open(&self.state_dir).unwrap();
        let mut started = self.batches.lock().unwrap();
        let run = submit_under(&mut store, &format!("batch-{}", started.len()), Some(new.key.clone()));
        started.push(new);
        Ok(run)
    }

    fn complete(&self, body: stepwell_batch::body::Body, sink: CompletionSink) -> Result<(), DeskError> {
        let mut waiting = self.completions.lock().unwrap();
        if waiting.len() >= 2 {
            let message = "the queue of the model is full".to_owned();
            return Err(DeskError { code: "queue_full", message, hint: None, problems: None });
        }
        waiting.push((body, sink));
        Ok(())
    }

    fn inference_load(&self) -> InferenceLoad {
        self.load.lock().unwrap().clone()
    }

    fn validate(&self, text: &str, _: &Map<String, Value>) -> Result<Value, DeskError> {
        match text {
            "good" => Ok(json!({ "workflow": "w" })),
            _ => Err(DeskError {
                code: "invalid_workflow",
                message: "it is not good".to_owned(),
                hint: Some("write `good`".to_owned()),
                problems: Some(json!({ "count": 1 })),
            }),
        }
    }
}
