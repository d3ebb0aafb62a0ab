//! Makes the ending of a batch from the run that wrote its results.

use jiff::Timestamp;

use crate::openai::batches::Situation;
use crate::openai::digest;
use crate::openai::files::{RESULTS, output_expires_at};
use crate::problem::Problem;
use crate::state::AppState;
use stepwell_artifact::{ArtifactStore, open_regular};
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::ids::RunId;
use stepwell_store::{BatchCounts, BatchEnding, BatchOutcome, BatchUsage, FileRow, LineError, Reader};

/// Names of the outputs of the step: answers, and rows without one.
const OUTPUTS: [(&str, &str); 2] = [("output", "output.jsonl"), ("errors", "errors.jsonl")];

/// The ending of a batch whose rows nobody has looked at.
pub fn ended_early(situation: &Situation, outcome: BatchOutcome) -> BatchEnding {
    let run = situation.run.as_ref();
    BatchEnding {
        outcome,
        at: Timestamp::now(),
        in_progress_at: run.map(|run| run.created_at),
        finalizing_at: run.and_then(|run| run.finished_at),
        output_file: None,
        error_file: None,
        counts: BatchCounts { total: lines(situation), ..BatchCounts::default() },
        usage: None,
        errors: Vec::new(),
    }
}

/// The ending of a batch, with files of what the run gave. A file that would be empty does not exist.
///
/// # Errors
/// When a result cannot be read.
pub async fn ended(
    app: &AppState,
    situation: &Situation,
    outcome: BatchOutcome,
    run: RunId,
) -> Result<(BatchEnding, Vec<FileRow>), Problem> {
    let (state_dir, outputs) =
        app.read(move |reader| Ok((reader.state_dir().to_owned(), outputs(reader, run)?))).await?;
    let mut ending = ended_early(situation, outcome);
    let Some(outputs) = outputs else {
        ending.errors = vec![failure(situation)];
        return Ok((ending, Vec::new()));
    };
    let number = |name: &str| outputs.values.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
    ending.counts = BatchCounts { total: lines(situation), completed: number("completed"), failed: number("failed") };
    let usage = BatchUsage { input_tokens: number("prompt_tokens"), output_tokens: number("completion_tokens") };
    ending.usage = (usage != BatchUsage::default()).then_some(usage);
    let (at, lasts, id) = (ending.at, situation.batch.output_expires_after, situation.batch.id.clone());
    let files = app
        .block(move || {
            let artifacts = ArtifactStore::open(&state_dir)?;
            let found = OUTPUTS.into_iter().map(|(name, filename)| {
                let artifact = outputs.artifacts.get(name).filter(|artifact| artifact.size > 0);
                let file = |artifact: &ArtifactRef| -> Result<FileRow, Problem> {
                    Ok(FileRow {
                        id: format!("file-{}", sha256(&artifacts, artifact)?),
                        artifact: artifact.clone(),
                        filename: format!("{id}_{filename}"),
                        purpose: RESULTS.to_owned(),
                        created_at: at,
                        expires_at: lasts.map(|seconds| output_expires_at(at, seconds)),
                    })
                };
                artifact.map(file).transpose()
            });
            found.collect::<Result<Vec<Option<FileRow>>, Problem>>()
        })
        .await?;
    let [output, errors] = [0, 1].map(|index| files.get(index).cloned().flatten());
    ending.output_file = output.as_ref().map(|file| file.id.clone());
    ending.error_file = errors.as_ref().map(|file| file.id.clone());
    Ok((ending, output.into_iter().chain(errors).collect()))
}

fn lines(situation: &Situation) -> u64 {
    situation.batch.checked.as_ref().map_or(0, |checked| checked.lines)
}

/// The outputs of the run's last step; `None` unless it has succeeded.
fn outputs(reader: &Reader, run: RunId) -> Result<Option<Outputs>, Problem> {
    Ok(reader.steps(run)?.pop().and_then(|step| step.outputs))
}

/// Why a batch has no results although its rows were looked at.
fn failure(situation: &Situation) -> LineError {
    let failed = situation.closing.as_ref().or(situation.run.as_ref()).and_then(|run| run.failure.as_ref());
    run_failed(failed.map_or("the run of the batch has ended without results", |failure| &failure.message))
}

pub fn run_failed(message: &str) -> LineError {
    LineError { code: "run_failed".to_owned(), message: message.to_owned(), line: None, param: None }
}

fn sha256(artifacts: &ArtifactStore, artifact: &ArtifactRef) -> Result<String, Problem> {
    let path = artifacts.blob_path(&artifact.digest);
    let file = open_regular(&path).map_err(|error| Problem::internal("reading a result file", &error))?;
    digest::of_file(file).map_err(|error| Problem::internal("reading a result file", &error))
}
