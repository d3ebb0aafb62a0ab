//! Converts columns to types.

use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::types::FromSql;
use rusqlite::{Connection, Params, Row, RowIndex};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use stepwell_base::artifact::ArtifactRef;
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_base::json::{self, Limit};
use stepwell_base::protocol::MetricRow;
use stepwell_run::estimate::ProgressMark;
use stepwell_run::event::ProcessIdentity;
use stepwell_workflow::key::text_digest;
use stepwell_workflow::spec::WorkflowSpec;

use super::error::StoreError;
use super::metrics;
use super::rows::{CheckpointRow, Children, EventRow, RunRow, StepRow, Unreadable};

/// RFC 3339 in UTC with milliseconds, so that times sort as text.
pub(super) fn time_text(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// Encodes a value for storage; refuses one that [`json`] cannot read back.
pub(super) fn json_text(value: &impl Serialize) -> Result<String, StoreError> {
    let text = serde_json::to_string(value).map_err(|error| StoreError::Unstorable { why: error.to_string() })?;
    json::check(text.as_bytes(), Limit::STORED).map_err(|error| StoreError::Unstorable { why: error.to_string() })?;
    Ok(text)
}

fn read<T: DeserializeOwned>(text: &str, column: impl Display) -> Result<T, StoreError> {
    json::parse(text.as_bytes(), Limit::STORED).map_err(|error| bad(column, error))
}

pub(super) fn collect<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    decode: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut decoded = Vec::new();
    collect_into(&mut decoded, connection, sql, params, decode)?;
    Ok(decoded)
}

/// Like [`collect`], but returns rows that cannot be decoded separately.
pub(super) fn collect_readable<T, U>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    decode: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    name: impl Fn(&Row<'_>, StoreError) -> U,
) -> Result<(Vec<T>, Vec<U>), StoreError> {
    let rows = collect(connection, sql, params, |row| Ok(decode(row).map_err(|error| name(row, error))))?;
    let (mut readable, mut unreadable) = (Vec::new(), Vec::new());
    for row in rows {
        match row {
            Ok(row) => readable.push(row),
            Err(named) => unreadable.push(named),
        }
    }
    Ok((readable, unreadable))
}

/// Like [`collect`], but appends to `decoded`.
pub(super) fn collect_into<T>(
    decoded: &mut Vec<T>,
    connection: &Connection,
    sql: &str,
    params: impl Params,
    decode: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        decoded.push(decode(row)?);
    }
    Ok(())
}

pub(super) fn first<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    decode: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(decode).transpose()
}

/// Name or index of a column.
pub(super) trait Column: RowIndex + Display + Copy {}
impl<T: RowIndex + Display + Copy> Column for T {}

fn bad(column: impl Display, error: impl Display) -> StoreError {
    StoreError::undecodable(format!("column `{column}`: {error}"))
}

pub(super) fn get<T: FromSql>(row: &Row<'_>, column: impl Column) -> Result<T, StoreError> {
    row.get(column).map_err(|error| bad(column, error))
}

pub(super) fn parse<T: FromStr<Err: Display>>(row: &Row<'_>, column: impl Column) -> Result<T, StoreError> {
    get::<String>(row, column)?.parse().map_err(|error| bad(column, error))
}

pub(super) fn maybe<T: FromStr<Err: Display>>(row: &Row<'_>, column: impl Column) -> Result<Option<T>, StoreError> {
    let text: Option<String> = get(row, column)?;
    text.map(|text| text.parse().map_err(|error| bad(column, error))).transpose()
}

pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, column: impl Column) -> Result<T, StoreError> {
    read(&get::<String>(row, column)?, column)
}

pub(super) fn maybe_json<T: DeserializeOwned>(row: &Row<'_>, column: impl Column) -> Result<Option<T>, StoreError> {
    let text: Option<String> = get(row, column)?;
    text.map(|text| read(&text, column)).transpose()
}

/// 64-bit unsigned numbers keep their bits in SQLite's signed integers.
fn unsigned<T: TryFrom<u64, Error: Display>>(row: &Row<'_>, column: impl Column) -> Result<T, StoreError> {
    T::try_from(get::<i64>(row, column)?.cast_unsigned()).map_err(|error| bad(column, error))
}

fn maybe_unsigned<T: TryFrom<u64, Error: Display>>(
    row: &Row<'_>,
    column: impl Column,
) -> Result<Option<T>, StoreError> {
    let number: Option<i64> = get(row, column)?;
    number.map(|number| T::try_from(number.cast_unsigned()).map_err(|error| bad(column, error))).transpose()
}

/// SQLite stores NaN as NULL.
fn float(row: &Row<'_>, column: &str) -> Result<f64, StoreError> {
    Ok(get::<Option<f64>>(row, column)?.unwrap_or(f64::NAN))
}

/// Collects the readable parts of a row of `run` or `schedule` that cannot be decoded.
pub(super) fn unreadable(row: &Row<'_>, error: StoreError) -> Unreadable {
    let text = |column: &str| row.get::<_, String>(column).ok();
    let name = text("name").unwrap_or_else(|| "?".to_owned());
    Unreadable { id: text("id").unwrap_or_else(|| name.clone()), name, why: error.to_string() }
}

pub(super) fn run(row: &Row<'_>) -> Result<RunRow, StoreError> {
    let status = parse(row, "status")?;
    Ok(RunRow {
        id: parse(row, "id")?,
        name: get(row, "name")?,
        workflow: get(row, "workflow")?,
        status,
        stored_status: status,
        spec_digest: get(row, "spec_digest")?,
        options: json(row, "options")?,
        pause_reason: get(row, "pause_reason")?,
        created_at: parse(row, "created_at")?,
        started_at: maybe(row, "started_at")?,
        finished_at: maybe(row, "finished_at")?,
        updated_at: parse(row, "updated_at")?,
        pruned_at: maybe(row, "pruned_at")?,
        failure: maybe_json(row, "failure")?,
    })
}

/// Decodes the workflow of a run if it is the submitted one. The digest covers the stored JSON, so a build whose
/// workflows have more fields accepts a workflow from an older build.
pub(super) fn spec(row: &Row<'_>) -> Result<WorkflowSpec, StoreError> {
    // Borrowed, because a workflow may be megabytes.
    let stored = row.get_ref("spec")?.as_str().map_err(|error| bad("spec", error))?;
    json::check(stored.as_bytes(), Limit::STORED).map_err(|error| bad("spec", error))?;
    let actual = text_digest(stored).map_err(|error| bad("spec", error))?;
    let expected: String = get(row, "spec_digest")?;
    if actual != expected {
        return Err(StoreError::DamagedSpec { run: parse(row, "id")?, expected, actual });
    }
    serde_json::from_str(stored).map_err(|error| bad("spec", error))
}

/// Columns in the order that [`step`] reads them. Looking up column names in each of 100,000 rows would take longer
/// than all other decoding.
const STEP: [&str; 40] = [
    "id",
    "parent",
    "item_index",
    "item",
    "kind",
    "needs",
    "status",
    "fence",
    "attempts",
    "retries_used",
    "not_before",
    "ready_since",
    "lease_expires_at",
    "key",
    "arguments",
    "failure",
    "reused_from",
    "skip_reason",
    "wait",
    "resources",
    "attempt_started_at",
    "last_step",
    "last_doc_index",
    "tokens_so_far",
    "loss",
    "compute_ms",
    "started_at",
    "finished_at",
    "children",
    "children_done",
    "children_failed",
    "progress_done",
    "progress_total",
    "progress_at",
    "progress_first",
    "progress_first_at",
    "pid",
    "process_start",
    "boot_id",
    "output_values",
];

/// Index of a column of [`STEP`], resolved at compile time; an unknown name fails to compile.
const fn at(name: &str) -> usize {
    let mut index = 0;
    while !equal(STEP[index].as_bytes(), name.as_bytes()) {
        index += 1;
    }
    index
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    let mut index = 0;
    while index < a.len() && index < b.len() && a[index] == b[index] {
        index += 1;
    }
    index == a.len() && index == b.len()
}

/// Query for the steps that satisfy `condition`, one per row.
pub(super) fn steps_where(condition: &str) -> String {
    format!("SELECT {} FROM step WHERE {condition}", STEP.join(", "))
}

/// Decodes a step without its outputs, which have rows of their own.
pub(super) fn step(row: &Row<'_>) -> Result<StepRow, StoreError> {
    Ok(StepRow {
        id: StepId(get(row, const { at("id") })?),
        parent: get::<Option<String>>(row, const { at("parent") })?.map(StepId),
        item_index: maybe_unsigned(row, const { at("item_index") })?,
        item: maybe_json(row, const { at("item") })?,
        kind: get(row, const { at("kind") })?,
        needs: json(row, const { at("needs") })?,
        status: parse(row, const { at("status") })?,
        fence: Fence(unsigned(row, const { at("fence") })?),
        attempts: unsigned(row, const { at("attempts") })?,
        retries_used: unsigned(row, const { at("retries_used") })?,
        not_before: maybe(row, const { at("not_before") })?,
        ready_since: maybe(row, const { at("ready_since") })?,
        lease_expires_at: maybe(row, const { at("lease_expires_at") })?,
        process: process(row)?,
        key: get::<Option<String>>(row, const { at("key") })?.map(StepKey),
        with: maybe_json(row, const { at("arguments") })?,
        outputs: None,
        failure: maybe_json(row, const { at("failure") })?,
        reused_from: maybe(row, const { at("reused_from") })?,
        skip_reason: get(row, const { at("skip_reason") })?,
        children: children(row)?,
        wait: maybe_json(row, const { at("wait") })?,
        resources: maybe_json(row, const { at("resources") })?.unwrap_or_default(),
        attempt_started_at: maybe(row, const { at("attempt_started_at") })?,
        progress: progress(row)?,
        last_step: maybe_unsigned(row, const { at("last_step") })?,
        last_doc_index: maybe_unsigned(row, const { at("last_doc_index") })?,
        tokens_so_far: maybe_unsigned(row, const { at("tokens_so_far") })?,
        loss: get(row, const { at("loss") })?,
        compute_ms: get(row, const { at("compute_ms") })?,
        started_at: maybe(row, const { at("started_at") })?,
        finished_at: maybe(row, const { at("finished_at") })?,
    })
}

fn children(row: &Row<'_>) -> Result<Option<Children>, StoreError> {
    let Some(total) = maybe_unsigned(row, const { at("children") })? else { return Ok(None) };
    Ok(Some(Children {
        total,
        done: unsigned(row, const { at("children_done") })?,
        failed: unsigned(row, const { at("children_failed") })?,
    }))
}

fn progress(row: &Row<'_>) -> Result<Option<ProgressMark>, StoreError> {
    let Some(done) = maybe_unsigned(row, const { at("progress_done") })? else { return Ok(None) };
    Ok(Some(ProgressMark {
        done,
        total: unsigned(row, const { at("progress_total") })?,
        at: parse(row, const { at("progress_at") })?,
        first_done: unsigned(row, const { at("progress_first") })?,
        first_at: parse(row, const { at("progress_first_at") })?,
    }))
}

fn process(row: &Row<'_>) -> Result<Option<ProcessIdentity>, StoreError> {
    let Some(pid) = maybe_unsigned(row, const { at("pid") })? else { return Ok(None) };
    let start_time = unsigned(row, const { at("process_start") })?;
    Ok(Some(ProcessIdentity { pid, start_time, boot_id: get(row, const { at("boot_id") })? }))
}

pub(super) fn output_values(row: &Row<'_>) -> Result<Map<String, Value>, StoreError> {
    Ok(maybe_json(row, const { at("output_values") })?.unwrap_or_default())
}

pub(super) fn artifact(row: &Row<'_>) -> Result<ArtifactRef, StoreError> {
    let media_type = get(row, "media_type")?;
    Ok(ArtifactRef { digest: parse(row, "digest")?, size: unsigned(row, "size")?, media_type })
}

pub(super) fn checkpoint(row: &Row<'_>) -> Result<CheckpointRow, StoreError> {
    let artifact = get::<Option<String>>(row, "digest")?.map(|_| artifact(row)).transpose()?;
    Ok(CheckpointRow {
        seq: get(row, "seq")?,
        attempt: unsigned(row, "attempt")?,
        at: parse(row, "at")?,
        checkpoint: Checkpoint {
            artifact,
            state: json(row, "state")?,
            last_step: maybe_unsigned(row, "last_step")?,
            last_doc_index: maybe_unsigned(row, "last_doc_index")?,
            tokens_so_far: maybe_unsigned(row, "tokens_so_far")?,
            loss: get(row, "loss")?,
            phase: get(row, "phase")?,
            permanent: get(row, "permanent")?,
            keep: None,
        },
    })
}

/// Decodes a metric and verifies its digest.
pub(super) fn metric(row: &Row<'_>) -> Result<MetricRow, StoreError> {
    let found = MetricRow {
        train_step: unsigned(row, "train_step")?,
        loss: float(row, "loss")?,
        z_loss: None,
        learning_rate: float(row, "learning_rate")?,
        grad_norm: float(row, "grad_norm")?,
        tokens_so_far: unsigned(row, "tokens_so_far")?,
        tokens_per_second: float(row, "tokens_per_second")?,
    };
    let (run, step): (String, String) = (get(row, "run")?, get(row, "step")?);
    let written: Option<i64> = get(row, "digest")?;
    if written
        .is_some_and(|written| written != metrics::digest(&run, &step, unsigned(row, "attempt").unwrap_or(0), &found))
    {
        let (run, train_step) = (parse(row, "run")?, found.train_step);
        return Err(StoreError::DamagedMetric { run, step: StepId(step), train_step });
    }
    Ok(found)
}

pub(super) fn event(row: &Row<'_>) -> Result<EventRow, StoreError> {
    let run: RunId = parse(row, "run")?;
    Ok(EventRow { seq: get(row, "seq")?, run, at: parse(row, "at")?, event: json(row, "payload")? })
}
