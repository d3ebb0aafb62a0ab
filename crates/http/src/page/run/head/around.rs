//! What every view of a run needs besides the database.

use serde_json::Value;

use super::super::super::parts::{Frame, Here};
use crate::desk::EngineView;
use crate::guard::Identity;
use crate::problem::Problem;
use crate::state::AppState;
use stepwell_base::ids::RunId;
use stepwell_run::health::MachineReadings;

pub struct Around {
    pub id: RunId,
    /// What the program works out about the run, as `show` prints it in `effort`; null for a run that it cannot read.
    pub effort: Value,
    pub machine: MachineReadings,
    pub engine: EngineView,
    pub identity: Identity,
}

impl Around {
    /// # Errors
    /// `not_found` when no run has this name or id.
    pub async fn read(app: &AppState, run: String, identity: Identity) -> Result<Around, Problem> {
        let id = app.read(move |reader| Ok(reader.resolve_run(&run)?)).await?;
        app.ask(move |desk| {
            let effort = desk.effort(id).unwrap_or(Value::Null);
            Ok::<_, Problem>(Around { id, effort, machine: desk.machine(), engine: desk.engine(), identity })
        })
        .await
    }

    /// The frame of a view at `url`, which changes with the run.
    pub fn frame(&self, url: impl Into<String>) -> Frame {
        Frame::live(Here::Runs, url, &self.engine)
    }
}
