//! What the server asks of the program: everything that needs the code of its verbs.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::openai::{BatchRun, CompletionSink, InferenceLoad};
use stepwell_base::artifact::Digest;
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::names::RunName;
use stepwell_base::remark::Tag;
use stepwell_batch::body::Body;
use stepwell_run::health::MachineReadings;
use stepwell_run::request::Request;
use stepwell_workflow::budget::Budget;
use stepwell_workflow::timetable::CatchUp;

/// The work of the verbs. Every method may block, and runs on a thread for blocking work.
pub trait Desk: Send + Sync + 'static {
    /// The process that drives runs here, if any.
    fn engine(&self) -> EngineView;

    /// Submits a run; its id is durable on return.
    fn submit(&self, new: Submit) -> Result<Submitted, DeskError>;

    /// Submits a run that repeats another one from a step on, or forks it there.
    fn derive(&self, new: Derived) -> Result<Submitted, DeskError>;

    /// Acts on a run.
    fn ask(&self, run: RunId, ask: Ask) -> Result<(), DeskError>;

    /// Wakes the engine after a change that concerns it.
    fn wake(&self);

    /// Why each step is where it is, as `explain` prints it.
    fn explain(&self, run: RunId, step: Option<&StepId>) -> Result<Value, DeskError>;

    /// Work used, budget, and time left of a run, as `show` prints it in `effort`.
    fn effort(&self, run: RunId) -> Result<Value, DeskError>;

    /// Free space and memory of the machine, on which the health of a run depends.
    fn machine(&self) -> MachineReadings;

    /// Where the rows of a step are: in its own run, in those that it was forked from, or where the work was done.
    fn series(&self, run: RunId, step: &StepId) -> Result<Vec<SeriesPart>, DeskError>;

    /// The origin of an artifact, as `artifact provenance` prints it.
    fn provenance(&self, digest: &Digest) -> Result<Value, DeskError>;

    /// Slots, pools and rate limits, with what holds them.
    fn pools(&self) -> Result<Value, DeskError>;

    /// The schedules with their next times, as `schedule list` prints them.
    fn schedules(&self) -> Result<Value, DeskError>;

    /// Adds a schedule.
    fn add_schedule(&self, new: NewSchedule) -> Result<(), DeskError>;

    /// The receivers of events with their last results, as `webhook list` prints them.
    fn webhooks(&self) -> Result<Value, DeskError>;

    /// Sends a test to a receiver; returns what came of it, as `webhook test` prints it.
    fn test_webhook(&self, name: &str) -> Result<Value, DeskError>;

    /// Names of the workflows that need no file.
    fn workflows(&self) -> Result<Vec<String>, DeskError>;

    /// A workflow with its parameters, their comments, and its steps, as `workflow show` prints it.
    fn workflow(&self, name: &str) -> Result<Value, DeskError>;

    /// Models that requests can name, newest first.
    fn models(&self) -> Result<Vec<ModelCard>, DeskError>;

    /// Submits the run of a batch, durable on return; the same key gives the same run.
    fn start_batch(&self, new: BatchRun) -> Result<RunId, DeskError>;

    /// Queues a request for a model, whose answer goes to the sink.
    ///
    /// # Errors
    /// `queue_full`, `model_not_found`.
    fn complete(&self, body: Body, sink: CompletionSink) -> Result<(), DeskError>;

    /// What the worker of the models does.
    fn inference_load(&self) -> InferenceLoad;

    /// Checks the text of a workflow; returns what [`Desk::workflow`] does, or the problems as an error.
    fn validate(&self, text: &str, params: &Map<String, Value>) -> Result<Value, DeskError>;
}

/// The engine of the state directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EngineView {
    /// This process.
    Here,
    /// Another process, described as `process 4711`; with the only run that it drives, if it drives only one.
    Elsewhere { who: String, run: Option<RunId> },
    /// Nobody, for this reason.
    Nobody(String),
}

/// A run to submit.
#[derive(Clone, Debug)]
pub struct Submit {
    pub workflow: WorkflowText,
    /// Parameters that differ from the defaults of the workflow.
    pub params: Map<String, Value>,
    pub name: Option<RunName>,
    pub tags: BTreeSet<Tag>,
    pub priority: i32,
    pub idempotency_key: Option<String>,
}

#[derive(Clone, Debug)]
pub enum WorkflowText {
    /// One of [`Desk::workflows`].
    Named(String),
    /// The text of a workflow file. Relative paths in it start at the server's working directory.
    Text(String),
}

/// A run that repeats or forks another one.
#[derive(Clone, Debug)]
pub struct Derived {
    pub run: RunId,
    pub from: DerivedFrom,
    pub params: Map<String, Value>,
    pub name: Option<RunName>,
    pub tags: BTreeSet<Tag>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DerivedFrom {
    /// Runs this step and everything after it again.
    Rerun { step: String },
    /// Branches off at a step, or at the checkpoint of a training step in it.
    Fork { step: String, train_step: Option<u64> },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Submitted {
    pub run: RunId,
    /// False if a run with the idempotency key existed.
    pub new: bool,
}

/// An action on a run.
#[derive(Clone, PartialEq, Debug)]
pub enum Ask {
    Request(Request),
    /// Like [`Request::Cancel`], but waits for the end of its attempts.
    Cancel,
    /// Continues the run, after raising the budget if it says so.
    Resume {
        budget: Budget,
    },
}

/// Rows of one step of one run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeriesPart {
    pub run: RunId,
    pub step: StepId,
    /// The last training step that counts; later rows belong to the run itself, not to its fork.
    pub up_to: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct NewSchedule {
    pub name: RunName,
    pub cron: String,
    pub time_zone: String,
    pub workflow: WorkflowText,
    pub params: Map<String, Value>,
    pub catch_up: CatchUp,
    pub priority: i32,
}

/// A model that requests can name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelCard {
    pub id: String,
    /// When it was made.
    pub created_at: jiff::Timestamp,
    /// Longest text in tokens, if it is known without loading it.
    pub context: Option<usize>,
}

/// A refusal of the program, with the code that its command line prints.
#[derive(Clone, Debug)]
pub struct DeskError {
    pub code: &'static str,
    pub message: String,
    pub hint: Option<String>,
    /// Problems of a workflow: `{"file","count","first"}`.
    pub problems: Option<Value>,
}
