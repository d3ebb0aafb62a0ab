//! A batch and its runs, as the database has them now.

use crate::problem::Problem;
use stepwell_base::failure::Failure;
use stepwell_base::ids::RunId;
use stepwell_run::status::RunStatus;
use stepwell_store::{BatchRow, Reader};

use super::run::closing_key;

#[derive(Clone, PartialEq, Debug)]
pub struct Situation {
    pub batch: BatchRow,
    /// The run that answers the rows.
    pub run: Option<RunSeen>,
    /// The run that closes a batch that ends early.
    pub closing: Option<RunSeen>,
}

/// What matters of a run.
#[derive(Clone, PartialEq, Debug)]
pub struct RunSeen {
    pub id: RunId,
    pub status: RunStatus,
    pub created_at: jiff::Timestamp,
    pub finished_at: Option<jiff::Timestamp>,
    pub failure: Option<Failure>,
}

impl Situation {
    pub fn of(reader: &Reader, batch: BatchRow) -> Result<Situation, Problem> {
        let closing = run(reader, &closing_key(&batch.id))?;
        Ok(Situation { run: run(reader, &batch.id)?, closing, batch })
    }
}

/// The situation of the batch with this id.
///
/// # Errors
/// When there is none.
pub fn find(reader: &Reader, id: &str) -> Result<Situation, Problem> {
    let found = reader.batch(id)?.ok_or_else(|| {
        let shown: String = id.chars().take(80).collect();
        Problem::not_found(format!("there is no batch `{shown}`")).hint("`GET /v1/batches` lists them").about("id")
    })?;
    Situation::of(reader, found)
}

fn run(reader: &Reader, key: &str) -> Result<Option<RunSeen>, Problem> {
    let Some(id) = reader.run_of_key(key)? else { return Ok(None) };
    let row = reader.run(id)?;
    Ok(Some(RunSeen {
        id,
        status: row.status,
        created_at: row.created_at,
        finished_at: row.finished_at,
        failure: row.failure,
    }))
}
