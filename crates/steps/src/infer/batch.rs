//! One attempt at a batch, whatever the model: resume, work, write the files.

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::arguments::Arguments;
use super::backend::Backend;
use super::durable::{self, Commits, InFlight, Reuse, Segment, Standing};
use super::results;
use super::table::Table;
use super::tally::{Tally, short};
use super::work::{Ended, Parts, Work};
use crate::handler::{StepContext, StepError};
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::Failure;
use stepwell_base::protocol::{Measurement, Progress, SeriesChange};
use stepwell_batch::estimate::{Alerted, Watch};
use stepwell_batch::key::Identity;
use stepwell_batch::results::{BatchName, Header};

const SEGMENT: &str = "rows.segment";
/// Whoever creates this file in the scratch folder ends the batch; rows that have no answer get `batch_cancelled`.
pub const CANCEL_FILE: &str = "cancel";
/// Time between two looks for that file.
const LOOK: Duration = Duration::from_millis(200);

/// Runs the batch in `requests`. `open` loads the model, unless no row needs it; a number is the most rows at once, after an attempt
/// that ran out of memory.
pub(super) fn run_batch<B: Backend>(
    context: &mut StepContext<'_>,
    arguments: &Arguments,
    requests: &Path,
    identity: &Identity,
    open: impl FnOnce(&mut StepContext<'_>, Option<usize>) -> Result<B, StepError>,
) -> Result<Outputs, StepError> {
    let mut table = Table::read(requests, &arguments.rules()?, arguments.on_bad_line(), identity)?;
    let mut standing = Standing::of(&context.request.checkpoints, Timestamp::now());
    let segment = resume(context, &mut table, &standing)?;
    let reuse = earlier_answers(context, arguments, &table, identity);
    let (in_flight, death) = InFlight::open(context.scratch(), &context.request.log_path()).map_err(cannot_write)?;
    if let Some(death) = &death {
        context.reporter.note(standing.conclude(death));
    }
    let commits = Commits::start(context.reporter.checkpoint_line())?;
    let is_open = |row: &super::table::Row| row.entry.is_none() && !reuse.has(&row.key);
    let header = Header {
        name: BatchName::of([&*table.digest, &identity.model, &identity.engine]),
        created: arguments.created,
        system_fingerprint: fingerprint(identity),
    };
    let concurrency = usize::try_from(arguments.concurrency.get()).unwrap_or(usize::MAX);
    let timeout = arguments.request_timeout()?;
    let expires_at = arguments.expires_at(standing.started_at)?;
    let asked = arguments.remaining.ended();
    let is_over = asked.is_some() || is_cancelled(context) || expires_at.is_some_and(|at| at <= Timestamp::now());
    // A death must be known to the engine before the next one: it is progress, so that the retries of the step are not used up.
    let news = death.is_some();
    if !is_over && table.rows.iter().any(is_open) {
        // Without a total: the estimate of the time left starts with the first row.
        context.report(0, 0, "rows", "loading the model")?;
        let backend = open(context, standing.most_at_once)?;
        let parts = Parts { table, segment, standing, backend, in_flight, death, commits, concurrency, timeout };
        attempt(context, Work::new(parts), &reuse, (asked, expires_at), &header, news)
    } else {
        let backend = NoModel;
        let parts = Parts { table, segment, standing, backend, in_flight, death, commits, concurrency, timeout };
        attempt(context, Work::new(parts), &reuse, (asked, expires_at), &header, news)
    }
}

fn attempt<B: Backend>(
    context: &mut StepContext<'_>,
    mut work: Work<B>,
    reuse: &Reuse,
    (asked, expires_at): (Option<Ended>, Option<Timestamp>),
    header: &Header,
    news: bool,
) -> Result<Outputs, StepError> {
    if news || context.request.checkpoints.is_empty() {
        work.offer()?;
    }
    work.take_earlier_answers(reuse)?;
    let ended = match asked {
        Some(ended) => Ok(ended),
        None => drive(context, &mut work, expires_at),
    };
    let concurrency = work.at_once();
    let (table, segment, tally) = work.close()?;
    let ended = ended?;
    context.reporter.progress(Progress {
        done: tally.done(),
        total: tally.total(),
        unit: "rows".to_owned(),
        message: "writing the files".to_owned(),
    });
    let written = results::write(context, &table, &segment, header, ended)?;
    Ok(Outputs::of(
        [("output", written.output), ("errors", written.errors)],
        values(&written.counts, &tally, (ended, concurrency)),
    ))
}

/// Works until every row has ended, or the batch is over for another reason.
fn drive<B: Backend>(
    context: &mut StepContext<'_>,
    work: &mut Work<B>,
    expires_at: Option<Timestamp>,
) -> Result<Ended, StepError> {
    let mut watch = Watch::new(work.standing.alerted);
    let mut looked: Option<Instant> = None;
    let mut shown = 0;
    loop {
        context.check_interrupt()?;
        if looked.is_none_or(|at| at.elapsed() >= LOOK) {
            looked = Some(Instant::now());
            if is_cancelled(context) {
                return Ok(Ended::Cancelled);
            }
        }
        if expires_at.is_some_and(|at| at <= Timestamp::now()) {
            return Ok(Ended::Expired);
        }
        work.fill(context)?;
        if work.running() == 0 {
            return Ok(Ended::Completed);
        }
        work.step(context)?;
        report(context, work, &mut shown);
        if let (Some(expires_at), Some(estimate)) = (expires_at, work.tally.estimate()) {
            let left = expires_at.duration_since(Timestamp::now()).as_secs_f64();
            if watch.alerts(&estimate, left) {
                work.standing.alerted = Alerted::Before;
                work.offer()?;
                context.reporter.note(format!(
                    "the deadline is in danger: {} to {} left to compute, {} until {expires_at}",
                    short(estimate.least),
                    short(estimate.most),
                    short(left)
                ));
            }
        }
    }
}

/// Shows what is committed, never more.
fn report<B: Backend>(context: &mut StepContext<'_>, work: &mut Work<B>, shown: &mut u64) {
    let done = work.committed();
    if let Some(speed) = work.tally.measure()
        && done > *shown
    {
        *shown = done;
        let values = [("tokens_per_second".to_owned(), speed)].into();
        context.reporter.series(SeriesChange::Add(Measurement { train_step: done, values }));
    }
    let message = work.tally.message();
    context.reporter.progress(Progress { done, total: work.tally.total(), unit: "rows".to_owned(), message });
}

/// Opens the segment and marks the rows that it has answers to.
fn resume(context: &mut StepContext<'_>, table: &mut Table, standing: &Standing) -> Result<Segment, Failure> {
    let mut found = Vec::new();
    let segment = Segment::open(&context.scratch().join(SEGMENT), |entry| found.push(entry)).map_err(cannot_write)?;
    // What is read here may be in the memory of the machine only.
    segment.sync().map_err(cannot_write)?;
    let mut rows = 0_u64;
    for entry in found {
        let at = table.rows.binary_search_by_key(&entry.line, |row| row.place.line);
        if let Some(row) = at.ok().and_then(|at| table.rows.get_mut(at))
            && row.key == entry.key
        {
            rows += u64::from(row.entry.is_none());
            row.entry = Some(entry);
        }
    }
    if segment.bytes() < standing.segment_bytes {
        context.reporter.note(format!(
            "{} bytes of committed answers are lost or damaged: their rows are computed again",
            standing.segment_bytes - segment.bytes()
        ));
    }
    if rows > 0 {
        context.reporter.note(format!("resumes after {rows} of {} rows", table.total()));
    }
    Ok(segment)
}

/// Finds answers of earlier batches, and offers those of this batch to later ones.
fn earlier_answers(context: &mut StepContext<'_>, arguments: &Arguments, table: &Table, identity: &Identity) -> Reuse {
    if !arguments.reuse {
        return Reuse::nothing();
    }
    let folder = durable::folder(&context.request.state_dir, identity);
    let name = format!("{}-{}.segment", context.request.run, context.request.step.as_str().replace('/', "_"));
    let open: std::collections::HashSet<_> =
        table.rows.iter().filter(|row| row.entry.is_none()).map(|row| row.key).collect();
    // Segments that are found stay readable when the next lines remove them.
    let found = Reuse::look(&folder, &name, |key| open.contains(key));
    if let Err(error) = durable::share(&context.scratch().join(SEGMENT), &folder, &name) {
        context.reporter.note(format!("later batches cannot use the answers of this one: {error}"));
    }
    found
}

fn is_cancelled(context: &StepContext<'_>) -> bool {
    context.scratch().join(CANCEL_FILE).exists()
}

fn fingerprint(identity: &Identity) -> String {
    let text = format!("{}\n{}\n{}", identity.model, identity.template, identity.engine);
    format!("fp_{}", &blake3::hash(text.as_bytes()).to_hex()[..12])
}

fn values(counts: &stepwell_batch::results::Counts, tally: &Tally, (ended, concurrency): (Ended, usize)) -> Value {
    let failures: Map<String, Value> =
        counts.failures.iter().map(|(code, count)| (code.as_str().to_owned(), json!(count))).collect();
    json!({
        "ended": ended.as_str(),
        "total": counts.requests.total,
        "completed": counts.requests.completed,
        "failed": counts.requests.failed,
        "failures": failures,
        "prompt_tokens": counts.usage.prompt_tokens,
        "completion_tokens": counts.usage.completion_tokens,
        "concurrency": concurrency,
        "reused": tally.reused_rows(),
        "tokens_per_second": (tally.mean_speed() * 10.0).round() / 10.0,
    })
}

fn cannot_write(error: std::io::Error) -> Failure {
    Failure::io("cannot write the files of the batch", &error)
}

/// Stands for a model where no row needs one.
struct NoModel;

impl Backend for NoModel {
    type Job = ();

    fn prepare(&self, _: &stepwell_batch::body::Body, _: u64) -> Result<Vec<()>, stepwell_batch::RowError> {
        Err(stepwell_batch::RowError::new(
            stepwell_batch::Code::InternalError,
            "the answer of an earlier batch is gone",
        ))
    }

    fn submit(&mut self, _: u64, (): ()) -> Result<(), stepwell_batch::RowError> {
        Ok(())
    }

    fn step(&mut self) -> Vec<super::backend::Happened> {
        Vec::new()
    }

    fn cancel(&mut self, _: u64) {}
}
