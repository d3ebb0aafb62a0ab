//! The runs that a clean-up has chosen, described before their rows go.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::Digest;
use stepwell_base::ids::RunId;
use stepwell_store::Reader;

use super::choose::CleanUp;
use super::error::MaintenanceError;
use super::pruned_run::{Chosen, Figure, PrunedRun};
use super::sweep::Extent;

/// Runs that a clean-up has chosen, with what is known of them before their rows go. Its file makes a clean-up that is
/// killed continue with the same runs.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub runs: Vec<PlannedRun>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct PlannedRun {
    pub run: RunId,
    /// Logs and scratch files.
    pub bytes: u64,
    pub figure: Option<Figure>,
    /// Content that the run refers to, which other runs may need too.
    pub content: Vec<Digest>,
}

impl CleanUp {
    /// Chooses runs and describes them.
    ///
    /// # Errors
    /// Those of `choose`.
    pub(crate) fn plan(&self, reader: &Reader, artifacts: &ArtifactStore) -> Result<Plan, MaintenanceError> {
        let chosen = self.choose(reader)?;
        let describe = |run| {
            let Chosen { run, content } =
                Chosen::describe(reader, artifacts, reader.state_dir(), reader.run(run)?, self.figure())?;
            let content = content.into_iter().collect();
            Ok(PlannedRun { run: run.row.id, bytes: run.bytes, figure: run.figure, content })
        };
        Ok(Plan { runs: chosen.into_iter().map(describe).collect::<Result<_, MaintenanceError>>()? })
    }

    /// The value by which a person judges runs.
    fn figure(&self) -> Option<(&str, &str)> {
        match self {
            CleanUp::Collect { retention } => retention.keep_best.as_ref()?.step_and_value(),
            CleanUp::Remove { .. } => None,
        }
    }

    pub(crate) fn extent(&self) -> Extent {
        match self {
            CleanUp::Remove { .. } => Extent::ChosenRuns,
            CleanUp::Collect { .. } => Extent::Everything,
        }
    }
}

impl Plan {
    pub(crate) fn ids(&self) -> Vec<RunId> {
        self.runs.iter().map(|planned| planned.run).collect()
    }

    /// Reads the rows of the runs again; those of removed runs are left, too.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub(crate) fn chosen(&self, reader: &Reader) -> Result<Vec<Chosen>, MaintenanceError> {
        let chosen = |planned: &PlannedRun| {
            let PlannedRun { run, bytes, figure, content } = planned.clone();
            let run = PrunedRun { row: reader.run(run)?, annotation: reader.annotation(run)?, figure, bytes };
            Ok(Chosen { run, content: content.into_iter().collect() })
        };
        self.runs.iter().map(chosen).collect()
    }
}

/// Message of the thread that does a part of a clean-up.
#[derive(Debug)]
pub(crate) enum Progress {
    Planned(Box<Planned>),
    /// The request has its answer, or nobody can answer it now.
    Ended {
        problem: Option<String>,
    },
}

#[derive(Debug)]
pub(crate) struct Planned {
    pub id: Uuid,
    pub clean_up: CleanUp,
    pub plan: Plan,
}
