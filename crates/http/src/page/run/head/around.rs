//! What every view of a run needs besides the database.

use serde_json::Value;

use crate::desk::EngineView;
use crate::guard::Identity;
use crate::problem::Problem;
use crate::state::AppState;
use stepwell_base::ids::RunId;

pub struct Around {
    pub id: RunId,
    /// What the program works out about the run, as `show` prints it in `effort`; null for a run that it cannot read.
    pub effort: Value,
    pub engine: EngineView,
    pub identity: Identity,
}

impl Around {
    /// # Errors
    /// `not_found` when no run has this name or id.
    pub async fn read(app: &AppState, run: String, identity: Identity) -> Result<Around, Problem> {
        let id = app.read(move |reader| Ok(reader.resolve_run(&run)?)).await?;
        let (engine, effort) =
            app.ask(move |desk| Ok::<_, Problem>((desk.engine(), desk.effort(id).unwrap_or(Value::Null)))).await?;
        Ok(Around { id, effort, engine, identity })
    }
}
