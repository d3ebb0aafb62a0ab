//! JSON forms of runs and events. Fields may be added.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::problem::Problem;
use stepwell_base::artifact::ArtifactRef;
use stepwell_store::{Annotation, EventRow, RunRow};

/// A run, as in lists.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RunForm {
    pub id: String,
    pub name: String,
    pub workflow: String,
    /// `pending`, `running`, `interrupted`, `paused`, `canceling`, `succeeded`, `failed` or `canceled`.
    pub status: &'static str,
    /// The run whose step started this one.
    pub parent: Option<String>,
    pub created_at: String,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
    /// Time of the newest event.
    pub updated_at: String,
    pub priority: i32,
    /// Why it failed: `{"kind","message","hint",...}`.
    pub failure: Option<Value>,
    pub pause_reason: Option<String>,
    /// The run that it repeats or forks, the step or the schedule that started it.
    pub origin: Option<Value>,
    /// Folder and Git state of the workflow file.
    pub project: Option<Value>,
    pub pruned_at: Option<String>,
    pub tags: Vec<String>,
    pub note: Option<String>,
    pub kept_at: Option<String>,
}

impl RunForm {
    pub fn new(row: &RunRow, annotation: &Annotation) -> Result<RunForm, Problem> {
        Ok(RunForm {
            id: row.id.to_string(),
            name: row.name.clone(),
            workflow: row.workflow.clone(),
            status: row.status.as_str(),
            parent: row.parent().map(|run| run.to_string()),
            created_at: row.created_at.to_string(),
            started_at: row.started_at.map(|at| at.to_string()),
            finished_at: row.finished_at.map(|at| at.to_string()),
            updated_at: row.updated_at.to_string(),
            priority: row.options.priority,
            failure: row.failure.as_ref().map(json).transpose()?,
            pause_reason: row.pause_reason.clone(),
            origin: row.options.origin.as_ref().map(json).transpose()?,
            project: row.options.project.as_ref().map(json).transpose()?,
            pruned_at: row.pruned_at.map(|at| at.to_string()),
            tags: annotation.tags.iter().map(|tag| tag.as_str().to_owned()).collect(),
            note: annotation.note.as_ref().map(|note| note.as_str().to_owned()),
            kept_at: annotation.kept_at.map(|at| at.to_string()),
        })
    }
}

/// An event, as `watch --output json` prints it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventForm {
    /// Number of the event, which only grows.
    pub seq: i64,
    pub run: String,
    pub at: String,
    pub event: Value,
}

impl EventForm {
    pub fn new(row: &EventRow) -> Result<EventForm, Problem> {
        Ok(EventForm { seq: row.seq, run: row.run.to_string(), at: row.at.to_string(), event: json(&row.event)? })
    }
}

/// # Errors
/// When a value has no JSON, which no stored value is.
pub fn json(value: &impl Serialize) -> Result<Value, Problem> {
    serde_json::to_value(value).map_err(|error| Problem::internal("the answer", &error))
}

/// Content that a step produced.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ArtifactForm {
    pub digest: String,
    pub size: u64,
    pub media_type: String,
}

impl From<&ArtifactRef> for ArtifactForm {
    fn from(artifact: &ArtifactRef) -> ArtifactForm {
        ArtifactForm {
            digest: artifact.digest.to_string(),
            size: artifact.size,
            media_type: artifact.media_type.clone(),
        }
    }
}

/// A document of the command line, as `specs/cli.md` describes it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(transparent)]
pub struct Anything(pub Value);
