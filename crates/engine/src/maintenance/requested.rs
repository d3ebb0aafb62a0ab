//! Requests for a clean-up to an engine that holds the state directory. Each is a file in `clean-ups/`, because it is
//! about many runs or none, and the rows of the runs that it names go.
//!
//! `ID.asked` is there from the request to the answer, `ID.plan` from the choice of the runs, `ID.answer` from the end
//! until somebody has read it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use stepwell_artifact::ArtifactStore;
use stepwell_base::error_chain::error_chain;
use stepwell_base::ids::RunId;
use stepwell_base::json::{self, Limit};
use stepwell_store::Reader;

use super::choose::CleanUp;
use super::error::MaintenanceError;
use super::plan::Plan;
use super::pruned_run::{Figure, PrunedRun};
use super::sweep::{Amount, Collected};

const FOLDER: &str = "clean-ups";
/// Time for which an answer waits for a reader.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// A request by its number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Requested {
    state_dir: PathBuf,
    pub id: Uuid,
}

/// End of a clean-up.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Answer {
    Done { runs: Vec<Removed>, artifacts: Amount, temporary: Amount, scratch: Amount },
    Refused { why: String, hint: Option<String> },
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Removed {
    run: RunId,
    bytes: u64,
    figure: Option<Figure>,
}

impl Answer {
    pub(crate) fn of(done: &Result<Collected, MaintenanceError>) -> Answer {
        match done {
            Ok(Collected { pruned, artifacts, temporary, scratch }) => Answer::Done {
                runs: pruned.iter().map(Removed::of).collect(),
                artifacts: *artifacts,
                temporary: *temporary,
                scratch: *scratch,
            },
            Err(error) => Answer::Refused { why: error_chain(error), hint: error.hint() },
        }
    }
}

impl Removed {
    fn of(PrunedRun { row, figure, bytes, .. }: &PrunedRun) -> Removed {
        Removed { run: row.id, bytes: *bytes, figure: figure.clone() }
    }
}

impl Requested {
    pub(crate) fn new(state_dir: &Path, id: Uuid) -> Requested {
        Requested { state_dir: state_dir.to_owned(), id }
    }

    pub(crate) fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Makes a request durable. The caller wakes the engine.
    pub(crate) fn file(
        state_dir: &Path,
        artifacts: &ArtifactStore,
        clean_up: &CleanUp,
    ) -> Result<Requested, MaintenanceError> {
        let requested = Requested::new(state_dir, Uuid::now_v7());
        requested.write(artifacts, "asked", clean_up)?;
        Ok(requested)
    }

    /// Requests without an answer, oldest first.
    pub(crate) fn open(state_dir: &Path) -> Result<Vec<Uuid>, MaintenanceError> {
        let mut open = Vec::new();
        for path in files(state_dir)? {
            if let Some(id) = named(&path, "asked")
                && !Requested::new(state_dir, id).path("answer").exists()
            {
                open.push(id);
            }
        }
        open.sort();
        Ok(open)
    }

    /// Removes answers that nobody has read for a day.
    pub(crate) fn forget_answers(state_dir: &Path) -> Result<(), MaintenanceError> {
        for path in files(state_dir)? {
            let age = path.metadata().and_then(|found| found.modified()).map(|at| SystemTime::now().duration_since(at));
            if let Some(id) = named(&path, "answer")
                && age.is_ok_and(|age| age.is_ok_and(|age| age > KEPT_FOR))
            {
                Requested::new(state_dir, id).forget();
            }
        }
        Ok(())
    }

    pub(crate) fn clean_up(&self) -> Result<CleanUp, MaintenanceError> {
        self.read("asked")?.ok_or_else(|| MaintenanceError::unusable(&self.path("asked"), "it is gone"))
    }

    pub(crate) fn plan(&self) -> Result<Option<Plan>, MaintenanceError> {
        self.read("plan")
    }

    pub(crate) fn record_plan(&self, artifacts: &ArtifactStore, plan: &Plan) -> Result<(), MaintenanceError> {
        self.write(artifacts, "plan", plan)
    }

    pub(crate) fn answer(&self, artifacts: &ArtifactStore, answer: &Answer) -> Result<(), MaintenanceError> {
        self.write(artifacts, "answer", answer)?;
        // With an answer, neither of them counts.
        for kind in ["asked", "plan"] {
            let _ = fs::remove_file(self.path(kind));
        }
        Ok(())
    }

    /// The answer; `None` until there is one.
    pub(crate) fn answered(&self) -> Result<Option<Answer>, MaintenanceError> {
        self.read("answer")
    }

    /// Reads the answer of the clean-up and deletes its file.
    ///
    /// # Errors
    /// `Refused`.
    pub(crate) fn collected(&self, reader: &Reader) -> Result<Collected, MaintenanceError> {
        let answer = self.answered()?;
        self.forget();
        match answer {
            Some(Answer::Done { runs, artifacts, temporary, scratch }) => {
                let pruned = |Removed { run, bytes, figure }: Removed| {
                    Ok(PrunedRun { row: reader.run(run)?, annotation: reader.annotation(run)?, figure, bytes })
                };
                let pruned = runs.into_iter().map(pruned).collect::<Result<_, MaintenanceError>>()?;
                Ok(Collected { pruned, artifacts, temporary, scratch })
            }
            Some(Answer::Refused { why, hint }) => Err(MaintenanceError::Refused { why, hint }),
            None => Err(MaintenanceError::unusable(&self.path("answer"), "it is gone")),
        }
    }

    pub(crate) fn is_planned(&self) -> bool {
        self.path("plan").exists()
    }

    pub(crate) fn forget(&self) {
        for kind in ["asked", "plan", "answer"] {
            let _ = fs::remove_file(self.path(kind));
        }
    }

    fn path(&self, kind: &str) -> PathBuf {
        self.state_dir.join(FOLDER).join(format!("{}.{kind}", self.id))
    }

    fn write(&self, artifacts: &ArtifactStore, kind: &str, value: &impl Serialize) -> Result<(), MaintenanceError> {
        let path = self.path(kind);
        let bytes = serde_json::to_vec(value).map_err(|error| MaintenanceError::unusable(&path, &error.to_string()))?;
        Ok(artifacts.put_beside(&path, &bytes)?)
    }

    fn read<T: DeserializeOwned>(&self, kind: &str) -> Result<Option<T>, MaintenanceError> {
        let path = self.path(kind);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(MaintenanceError::io("read", &path))?,
        };
        let value = json::parse(&bytes, Limit::STORED);
        value.map(Some).map_err(|error| MaintenanceError::unusable(&path, &error.to_string()))
    }
}

fn named(path: &Path, kind: &str) -> Option<Uuid> {
    path.file_name()?.to_str()?.strip_suffix(kind)?.strip_suffix('.')?.parse().ok()
}

fn files(state_dir: &Path) -> Result<Vec<PathBuf>, MaintenanceError> {
    let folder = state_dir.join(FOLDER);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(MaintenanceError::io("read", &folder))?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    paths.collect::<Result<_, _>>().map_err(MaintenanceError::io("read", &folder))
}
