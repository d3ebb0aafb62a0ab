//! What the processes of an attempt used of the machine.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::control::step_of;
use crate::problem::Problem;
use crate::route::{Access, Doc, PathOf, Route};
use crate::state::AppState;
use stepwell_store::UsageRow;

pub fn routes() -> Vec<Route> {
    vec![Route::get(
        "/api/v1/runs/{run}/steps/{step}/attempts/{attempt}/usage",
        Access::READ,
        usage,
        Doc::new("metrics", "Lists what an attempt used of processor, memory, disk and GPU").returns::<UsageList>(),
    )]
}

#[derive(Debug, Serialize, ToSchema)]
pub struct UsageList {
    attempt: u32,
    /// Oldest first, ten seconds apart; a long attempt keeps fewer of its early ones, and at most 720.
    usage: Vec<UsageForm>,
}

/// A measurement of an attempt.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageForm {
    at: String,
    /// Processor time of all processes of the attempt since its start.
    cpu_seconds: f64,
    memory_bytes: u64,
    /// Highest measurement so far.
    peak_bytes: u64,
    /// Free space for the state directory.
    disk_free_bytes: Option<u64>,
    /// Use of the GPU, from 0 to 1, of the whole machine.
    gpu_ratio: Option<f64>,
    gpu_bytes: Option<u64>,
}

async fn usage(
    State(app): State<AppState>,
    PathOf((run, step, attempt)): PathOf<(String, String, u32)>,
) -> Result<Json<UsageList>, Problem> {
    app.read(move |reader| {
        let (run, step) = step_of(reader, &run, &step)?;
        if !(1..=reader.step(run, &step)?.attempts).contains(&attempt) {
            return Err(Problem::not_found(format!("step `{step}` has no attempt {attempt}")));
        }
        let rows = reader.usage(run, &step)?.into_iter().filter(|row| row.attempt == attempt);
        Ok(Json(UsageList { attempt, usage: rows.map(UsageForm::from).collect() }))
    })
    .await
}

impl From<UsageRow> for UsageForm {
    fn from(UsageRow { at, usage, .. }: UsageRow) -> UsageForm {
        UsageForm {
            at: at.to_string(),
            cpu_seconds: usage.cpu_seconds,
            memory_bytes: usage.memory_bytes,
            peak_bytes: usage.peak_bytes,
            disk_free_bytes: usage.disk_free_bytes,
            gpu_ratio: usage.gpu_ratio,
            gpu_bytes: usage.gpu_bytes,
        }
    }
}
