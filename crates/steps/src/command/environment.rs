//! Directories of one attempt, and the variables that tell the program about them.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use stepwell_base::failure::Failure;
use stepwell_base::faults::around;
use stepwell_base::protocol::{ATTEMPT_MARK, AttemptRequest};

use super::arguments::Arguments;
use super::checkpoint::remove;
use super::files::{PROJECT_DIR, Project};
use super::reports::metrics_file;

/// Working directory, fresh places for outputs, values and progress, and a folder with the metrics of all attempts.
pub(super) struct Places {
    pub work: PathBuf,
    pub output: PathBuf,
    pub values: PathBuf,
    pub progress: PathBuf,
    pub metrics: PathBuf,
}

impl Places {
    /// Creates the directories.
    ///
    /// # Errors
    /// When a directory cannot be created; fatal for a `cwd` that does not exist.
    pub(super) fn prepare(arguments: &Arguments, project: Project<'_>, scratch: &Path) -> Result<Places, Failure> {
        // The program may run anywhere, so it gets absolute paths only.
        let scratch = std::path::absolute(scratch).map_err(|error| cannot_create(scratch, &error))?;
        let work = arguments.cwd.as_ref().map_or_else(|| scratch.join("work"), |folder| project.find(folder));
        if arguments.cwd.is_some() && !work.is_dir() {
            let message = format!("the working directory `{}` does not exist", work.display());
            return Err(
                Failure::fatal(message).with_hint(format!("a relative `cwd` starts at {}", project.start_of_paths()))
            );
        }
        let places = Places {
            work,
            output: scratch.join("output"),
            values: scratch.join("values.json"),
            progress: scratch.join("progress"),
            metrics: scratch.join("metrics"),
        };
        // Files of an earlier attempt are no outputs of this one.
        for stale in [&places.output, &places.values, &places.progress] {
            remove(stale).map_err(|error| cannot_create(stale, &error))?;
        }
        for directory in [&places.work, &places.output, &places.metrics] {
            around!("command.places", fs::create_dir_all(directory))
                .map_err(|error| cannot_create(directory, &error))?;
        }
        Ok(places)
    }
}

/// Returns the variables that every program gets, in addition to the user's own.
pub(super) fn variables(
    request: &AttemptRequest,
    project: Project<'_>,
    places: &Places,
    checkpoints: &Path,
) -> Vec<(&'static str, OsString)> {
    let checkpoints = std::path::absolute(checkpoints).unwrap_or_else(|_| checkpoints.to_owned());
    vec![
        (ATTEMPT_MARK, request.mark().into()),
        ("STEPWELL_RUN_ID", request.run.to_string().into()),
        ("STEPWELL_STEP_ID", request.step.to_string().into()),
        ("STEPWELL_ATTEMPT", request.attempt.to_string().into()),
        ("STEPWELL_IDEMPOTENCY_KEY", request.key.to_string().into()),
        ("STEPWELL_CHECKPOINT_DIR", checkpoints.into()),
        ("STEPWELL_OUTPUT_DIR", places.output.clone().into()),
        ("STEPWELL_VALUES", places.values.clone().into()),
        ("STEPWELL_PROGRESS", places.progress.clone().into()),
        ("STEPWELL_METRICS", metrics_file(&places.metrics, request.attempt).into()),
        (PROJECT_DIR, project.folder().into()),
    ]
}

fn cannot_create(path: &Path, error: &std::io::Error) -> Failure {
    Failure::io(format_args!("cannot prepare `{}`", path.display()), error)
}
