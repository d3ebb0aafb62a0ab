//! The run of a batch. Its key is made of what the answers depend on, so that the same command finds the same run again.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::verb::BatchArgs;
use crate::drive::load_workflow::check;
use crate::drive::model_source::{ModelSource, Place};
use crate::drive::queue::task::Task;
use crate::drive::run_name::NewName;
use crate::drive::submission::Submission;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::Digest;
use stepwell_base::ids::RunId;
use stepwell_batch::window::Deadline;
use stepwell_engine::Start;
use stepwell_run::request::Request;
use stepwell_run::run_options::RunOptions;
use stepwell_run::status::RunStatus;
use stepwell_workflow::budget::Sla;
use stepwell_workflow::parse::Source;
use stepwell_workflow::spec::WorkflowSpec;

const WORKFLOW: &str = include_str!("workflow.toml");
/// The argument that most models do without.
const TOKENIZER: &str = "tokenizer = \"{{ params.with.tokenizer }}\", ";
/// Most runs of one batch that ended without all answers, before this gives up looking for one that did not.
const MOST_RUNS: u32 = 1000;

/// A batch that can be submitted.
pub(super) struct Batch {
    spec: WorkflowSpec,
    /// Equal for equal batches.
    key: String,
}

impl Batch {
    pub(super) fn new(session: &Session, args: &BatchArgs, model: &ModelSource) -> Result<Batch, CliError> {
        if !args.file.is_file() {
            return Err(CliError::not_found(format!("there is no file `{}`", args.file.display()))
                .hint("the requests are a file with one JSON object per line"));
        }
        // The run keeps a copy: what a person does to the file changes nothing.
        let artifacts = ArtifactStore::open(session.state_dir())?;
        let requests = artifacts.put_file(&args.file, "application/x-ndjson")?;
        let with = json!({
            "requests": requests,
            "model": model.argument(),
            "tokenizer": model.tokenizer,
            "served_model_name": args.served_model_name,
        });
        let set = [
            ("with", with.clone()),
            ("dtype", json!(args.dtype)),
            ("concurrency", json!(args.concurrency)),
            ("on_bad_line", json!(args.on_bad_line)),
            ("deadline", json!(args.deadline)),
            ("request_timeout", json!(args.request_timeout)),
            ("endpoint", json!(args.endpoint)),
        ];
        let set: Vec<(String, String)> =
            set.into_iter().map(|(name, value)| (name.to_owned(), inline(&value))).collect();
        let text = match &model.tokenizer {
            Some(_) => WORKFLOW.to_owned(),
            None => WORKFLOW.replace(TOKENIZER, ""),
        };
        let source = Source { origin: "batch".to_owned(), text, folder: std::path::PathBuf::new() };
        let mut spec = check(session, source, &set)?.spec;
        spec.sla = sla(&args.deadline);
        let stamp = match &model.place {
            Place::Path(path) => stamp(path)?,
            Place::Output(_) => Value::Null,
        };
        let mut essence = vec![with, stamp];
        let options = [&args.dtype, &args.on_bad_line, &args.endpoint, &args.deadline];
        essence.extend(options.map(|option| json!(option)));
        // Runs of a command without the option keep their keys.
        essence.extend((!args.request_timeout.is_empty()).then(|| json!(args.request_timeout)));
        let essence = Value::from(essence);
        let key = format!("batch-{}", &Digest::of(essence.to_string().as_bytes()).as_str()[..32]);
        Ok(Batch { spec, key })
    }

    /// Submits the batch, or finds the run of an equal one that has not ended short of answers.
    fn submit(&self, session: &Session) -> Result<(RunId, bool), CliError> {
        for number in 0..MOST_RUNS {
            let key = if number == 0 { self.key.clone() } else { format!("{}-{number}", self.key) };
            let submission = Submission {
                name: NewName::OfWorkflow,
                tags: BTreeSet::new(),
                spec: self.spec.clone(),
                idempotency_key: Some(key),
                options: RunOptions::default(),
                adoption: None,
                diff: None,
            };
            let (run, new) = submission.commit(session)?;
            if new || !is_spent(session, run)? {
                return Ok((run, new));
            }
        }
        Err(CliError::failed("this batch has ended short of answers too many times"))
    }
}

/// The promise that the engine watches, so that it alerts when the estimate is beyond the deadline.
fn sla(deadline: &str) -> Option<Sla> {
    let now = Timestamp::now();
    let left = Deadline::parse(deadline).ok()?.of(now).duration_since(now);
    Duration::try_from(left).ok().filter(|left| !left.is_zero()).map(|finish_within| Sla { finish_within })
}

/// True for a run that was canceled or pruned, or whose answers are not complete.
fn is_spent(session: &Session, run: RunId) -> Result<bool, CliError> {
    let reader = session.reader()?;
    let row = reader.run(run)?;
    if row.pruned_at.is_some() || row.status == RunStatus::Canceled {
        return Ok(true);
    }
    if row.status != RunStatus::Succeeded {
        return Ok(false);
    }
    let ended = reader.steps(run)?.into_iter().find_map(|step| step.outputs?.values.get("ended").cloned());
    Ok(ended != Some(json!("completed")))
}

/// Submits the batch, or continues it, and waits for its end.
pub(super) fn bring_to_its_end(session: &Session, batch: &Batch) -> Result<(RunId, Exit), CliError> {
    let after_seq = session.reader().map_or(Ok(0), |reader| reader.newest_event())?;
    let (run, new) = batch.submit(session)?;
    let row = session.reader()?.run(run)?;
    let human = match (new, row.status) {
        (true, _) => format!("run {run} ({})", row.name),
        (false, RunStatus::Succeeded) => format!("run {run} ({}) has answered this batch before", row.name),
        (false, _) => format!("continues run {run} ({})", row.name),
    };
    let fields = json!({ "id": run, "name": row.name, "workflow": "batch", "new": new });
    session.out.announce(&human, json!({ "type": "submitted", "run": fields }));
    stepwell_engine::wake(session.state_dir());
    let (start, request) = match row.status {
        RunStatus::Succeeded => return Ok((run, Exit::Ok)),
        RunStatus::Failed | RunStatus::Paused => (Start::Resume, Some(Request::Resume)),
        _ if new => (Start::GoOn, None),
        _ => (Start::GoOn, None),
    };
    let exit = Task { run, start, request, after_seq }.run_to_end(session)?;
    Ok((run, exit))
}

/// Names, sizes and times of the files of a model: cheap, and different when they change.
fn stamp(path: &Path) -> Result<Value, CliError> {
    let unreadable = |error| CliError::io("read", path, error);
    let one = |path: &Path| {
        let metadata = fs::metadata(path)?;
        let changed = metadata.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok::<_, std::io::Error>(json!([path, metadata.len(), changed.as_nanos().to_string()]))
    };
    if path.is_file() {
        return one(path).map_err(unreadable);
    }
    let mut files: Vec<_> = fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>())
        .map_err(unreadable)?;
    files.sort();
    let stamps: Result<Vec<Value>, _> = files.iter().filter(|path| path.is_file()).map(|path| one(path)).collect();
    stamps.map(Value::from).map_err(unreadable)
}

/// A value as TOML, which a `-S` would have.
fn inline(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| format!("{} = {}", Value::from(name.as_str()), inline(value)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
