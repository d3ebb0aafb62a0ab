//! What every view of a run needs besides the database.

use serde_json::Value;

use super::super::super::parts::{Frame, Here};
use crate::desk::EngineView;
use crate::guard::Identity;
use crate::problem::Problem;
use crate::state::AppState;
use stepwell_base::ids::RunId;
use stepwell_run::health::MachineReadings;

/// Steps of a workflow that is read for a view: a larger one takes seconds to parse.
const MOST_STEPS: u64 = 5000;

pub struct Around {
    pub id: RunId,
    /// True for a workflow that is not read for a view.
    pub is_large: bool,
    /// Estimates about the run, as `show` prints it in `effort`; null for a large run, and for one that it cannot
    /// read.
    pub effort: Value,
    pub machine: MachineReadings,
    pub engine: EngineView,
    pub identity: Identity,
}

impl Around {
    /// # Errors
    /// `not_found` when no run has this name or id.
    pub async fn read(app: &AppState, run: String, identity: Identity) -> Result<Around, Problem> {
        let (id, top) = app
            .read(move |reader| {
                let id = reader.resolve_run(&run)?;
                Ok((id, reader.step_counts(id)?.top))
            })
            .await?;
        let is_large = top > MOST_STEPS;
        app.ask(move |desk| {
            let effort = if is_large { Value::Null } else { desk.effort(id).unwrap_or(Value::Null) };
            let (machine, engine) = (desk.machine(), desk.engine());
            Ok::<_, Problem>(Around { id, is_large, effort, machine, engine, identity })
        })
        .await
    }

    /// The frame of a view at `url`, which changes with the run.
    pub fn frame(&self, url: impl Into<String>) -> Frame {
        Frame::live(Here::Runs, url, &self.engine)
    }
}
