//! Answers the rows of a table: fills the model up, takes what it finishes, and makes it durable.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::backend::{Backend, Happened};
use super::durable::{Commits, Death, InFlight, Kind, Outcome, Reuse, Segment, Standing};
use super::table::{Row, Table};
use super::tally::Tally;
use crate::handler::{StepContext, StepError};
use stepwell_base::failure::Failure;
use stepwell_batch::results::{Answer, Choice, Usage};
use stepwell_batch::{Code, RowError};

/// A row that the model works on.
struct Running {
    since: Instant,
    choices: Vec<Option<Choice>>,
    usage: Usage,
    jobs: Vec<u64>,
}

pub(super) struct Work<B: Backend> {
    pub table: Table,
    pub segment: Segment,
    pub standing: Standing,
    backend: B,
    in_flight: InFlight,
    commits: Commits,
    /// Indexes of rows without an answer, in the order in which they start.
    queue: VecDeque<usize>,
    running: BTreeMap<usize, Running>,
    /// Row and number of the prompt's first completion, by the model's id.
    jobs: HashMap<u64, (usize, usize)>,
    next_job: u64,
    concurrency: usize,
    /// Longest time of a row.
    timeout: Option<Duration>,
    /// Lines that found no memory in company.
    alone: BTreeSet<u64>,
    last_death: Option<Death>,
    pub tally: Tally,
    is_dirty: bool,
}

/// Parts of the work that exist before it starts.
pub(super) struct Parts<B> {
    pub table: Table,
    pub segment: Segment,
    pub standing: Standing,
    pub backend: B,
    pub in_flight: InFlight,
    pub death: Option<Death>,
    pub commits: Commits,
    pub concurrency: usize,
    pub timeout: Option<Duration>,
}

impl<B: Backend> Work<B> {
    pub(super) fn new(parts: Parts<B>) -> Work<B> {
        let Parts { table, segment, standing, backend, in_flight, death, commits, concurrency, timeout } = parts;
        let open = |index: &usize| table.rows[*index].entry.is_none();
        let is_suspect = |index: &usize| standing.deaths.suspects(table.rows[*index].place.line);
        // Rows that may be to blame come first: one that is not is free of suspicion soon.
        let (suspects, others): (Vec<usize>, Vec<usize>) = (0..table.rows.len()).filter(open).partition(is_suspect);
        let queue: VecDeque<usize> = suspects.into_iter().chain(others).collect();
        let done = (table.rows.len() - queue.len()) as u64;
        let bad = table.bad.len() as u64;
        let is_failure = |row: &&Row| row.entry.is_some_and(|entry| entry.kind == Kind::Failed);
        let failed = table.rows.iter().filter(is_failure).count() as u64;
        let tally = Tally::new(table.total(), bad + done, bad + failed);
        Work {
            table,
            segment,
            standing,
            backend,
            in_flight,
            commits,
            queue,
            running: BTreeMap::new(),
            jobs: HashMap::new(),
            next_job: 0,
            concurrency,
            timeout,
            alone: BTreeSet::new(),
            last_death: death,
            tally,
            is_dirty: false,
        }
    }

    /// Takes the answers that earlier batches have.
    pub(super) fn take_earlier_answers(&mut self, reuse: &Reuse) -> Result<(), StepError> {
        for index in std::mem::take(&mut self.queue) {
            match reuse.find(&self.table.rows[index].key) {
                Some(answer) => {
                    self.tally.reused();
                    self.record(index, &Outcome::Answered(answer))?;
                }
                None => self.queue.push_back(index),
            }
        }
        self.settle()
    }

    /// Gives the model as many rows as it takes.
    pub(super) fn fill(&mut self, context: &mut StepContext<'_>) -> Result<(), StepError> {
        while let Some(index) = self.queue.front().copied() {
            let is_free = match self.running.first_key_value() {
                None => true,
                Some((first, _)) => {
                    !self.must_be_alone(index)
                        && !self.must_be_alone(*first)
                        && self.jobs.len() < self.concurrency
                        && self.standing.most_at_once.is_none_or(|most| self.running.len() < most)
                }
            };
            if !is_free {
                break;
            }
            self.queue.pop_front();
            self.start(index, context)?;
        }
        self.settle()
    }

    /// Most requests that are computed at once now.
    pub(super) fn at_once(&self) -> usize {
        self.standing.most_at_once.map_or(self.concurrency, |most| most.min(self.concurrency))
    }

    /// Number of rows that the model works on.
    pub(super) fn running(&self) -> usize {
        self.running.len()
    }

    /// Lets the model compute, and keeps what it finishes.
    pub(super) fn step(&mut self, context: &mut StepContext<'_>) -> Result<(), StepError> {
        self.give_up_late_rows()?;
        for happened in self.backend.step() {
            match happened {
                Happened::Tokens { computed } => self.tally.tokens(computed),
                Happened::Finished { id, number, choice, usage } => self.finished((id, number), choice, usage)?,
                Happened::Failed { id, error } => self.failed(id, error, context)?,
            }
        }
        self.settle()
    }

    /// Makes rows that have ended durable, then lets the engine commit them.
    fn settle(&mut self) -> Result<(), StepError> {
        if !self.is_dirty {
            return Ok(());
        }
        self.segment.sync().map_err(cannot_write)?;
        self.is_dirty = false;
        self.note_running()?;
        self.offer()
    }

    /// Hands the state of the batch to the engine.
    pub(super) fn offer(&mut self) -> Result<(), StepError> {
        self.standing.segment_bytes = self.segment.bytes();
        self.standing.rows = self.tally.done();
        self.standing.failed = self.tally.failed();
        self.commits.offer(self.standing.checkpoint(self.tally.tokens_so_far())?, self.standing.rows)
    }

    /// Number of rows that the engine has committed, with those of earlier attempts.
    pub(super) fn committed(&self) -> u64 {
        self.commits.committed().max(self.tally.at_start())
    }

    /// Stops all rows that run; they count as not started.
    pub(super) fn stop(&mut self) -> Result<(), StepError> {
        for id in self.jobs.drain().map(|(id, _)| id) {
            self.backend.cancel(id);
        }
        self.running.clear();
        self.note_running()
    }

    /// Commits everything that has ended. Returns what is needed to write the result files.
    pub(super) fn close(mut self) -> Result<(Table, Segment, Tally), StepError> {
        self.stop()?;
        self.commits.finish()?;
        Ok((self.table, self.segment, self.tally))
    }

    fn must_be_alone(&self, index: usize) -> bool {
        let line = self.table.rows[index].place.line;
        self.standing.deaths.suspects(line) || self.alone.contains(&line)
    }

    fn start(&mut self, index: usize, context: &mut StepContext<'_>) -> Result<(), StepError> {
        let row = &self.table.rows[index];
        let line = row.place.line;
        if let Some(error) = self.standing.deaths.verdict(line, self.last_death.as_ref()) {
            if error.code == Code::OutOfMemory && self.standing.most_at_once.take().is_some() {
                context
                    .reporter
                    .note(format!("line {line} was what needed the memory: the others run as many at once as before"));
            }
            return self.record(index, &Outcome::Failed(error));
        }
        let loaded = self.table.load(row)?;
        let body = match loaded.request() {
            Ok(body) => body,
            Err(error) => return self.record(index, &Outcome::Failed(error)),
        };
        let seed = body.options.seed.map_or_else(|| loaded.seed(), |seed| seed as u64);
        // From here on the row may bring this process down.
        let (since, usage) = (Instant::now(), Usage::default());
        self.running.insert(index, Running { since, choices: Vec::new(), usage, jobs: Vec::new() });
        self.note_running()?;
        let prepared = catch_unwind(AssertUnwindSafe(|| self.backend.prepare(&body, seed)));
        let prepared = prepared.unwrap_or_else(|_| {
            Err(RowError::new(Code::InternalError, "The server failed to prepare this request; its log has the place."))
        });
        let jobs = match prepared {
            Ok(jobs) => jobs,
            Err(error) => return self.give_up(index, error),
        };
        let (n, choices) = (body.options.n as usize, body.choices());
        for (number, job) in jobs.into_iter().enumerate() {
            let id = self.next_job;
            self.next_job += 1;
            if let Err(error) = self.backend.submit(id, job) {
                return self.refused(index, error);
            }
            self.jobs.insert(id, (index, number * n));
            if let Some(running) = self.running.get_mut(&index) {
                running.jobs.push(id);
                running.choices.resize_with(choices, || None);
            }
        }
        Ok(())
    }

    fn finished(&mut self, (id, number): (u64, usize), choice: Choice, usage: Usage) -> Result<(), StepError> {
        let Some((index, first)) = self.jobs.get(&id).copied() else { return Ok(()) };
        let Some(running) = self.running.get_mut(&index) else { return Ok(()) };
        running.usage.add(usage);
        running.choices[first + number] = Some(choice);
        if running.choices.iter().any(Option::is_none) {
            return Ok(());
        }
        let usage = running.usage;
        let choices = std::mem::take(&mut running.choices);
        self.drop_jobs(index);
        let answer = Answer { choices: choices.into_iter().flatten().collect(), usage };
        self.record(index, &Outcome::Answered(answer))
    }

    fn failed(&mut self, id: u64, error: RowError, context: &mut StepContext<'_>) -> Result<(), StepError> {
        let Some((index, _)) = self.jobs.get(&id).copied() else { return Ok(()) };
        if error.code == Code::OutOfMemory && self.running.len() > 1 {
            let line = self.table.rows[index].place.line;
            context.reporter.note(format!("line {line} found no memory in company: it runs again, alone"));
        }
        self.refused(index, error)
    }

    /// Gives up rows that take longer than the step allows.
    fn give_up_late_rows(&mut self) -> Result<(), StepError> {
        let Some(timeout) = self.timeout else { return Ok(()) };
        let is_late = |running: &Running| running.since.elapsed() > timeout;
        let late: Vec<usize> =
            self.running.iter().filter(|(_, running)| is_late(running)).map(|(index, _)| *index).collect();
        late.into_iter().try_for_each(|index| self.give_up(index, RowError::timed_out(timeout)))
    }

    /// Tries a row again that found no memory, alone; or gives it up.
    fn refused(&mut self, index: usize, error: RowError) -> Result<(), StepError> {
        let line = self.table.rows[index].place.line;
        if error.code == Code::OutOfMemory && self.running.len() > 1 && self.alone.insert(line) {
            self.drop_jobs(index);
            self.queue.push_back(index);
            return self.note_running();
        }
        self.give_up(index, error)
    }

    fn give_up(&mut self, index: usize, error: RowError) -> Result<(), StepError> {
        self.drop_jobs(index);
        self.record(index, &Outcome::Failed(error))
    }

    fn drop_jobs(&mut self, index: usize) {
        let jobs = self.running.remove(&index).map(|running| running.jobs).unwrap_or_default();
        for id in jobs {
            if self.jobs.remove(&id).is_some() {
                self.backend.cancel(id);
            }
        }
    }

    /// Appends the outcome of a row, which is durable once it is settled.
    fn record(&mut self, index: usize, outcome: &Outcome) -> Result<(), StepError> {
        let row = &mut self.table.rows[index];
        row.entry = Some(self.segment.append(row.place.line, row.key, outcome).map_err(cannot_write)?);
        self.tally.ended(outcome);
        self.is_dirty = true;
        Ok(())
    }

    fn note_running(&mut self) -> Result<(), StepError> {
        let lines: Vec<u64> = self.running.keys().map(|index| self.table.rows[*index].place.line).collect();
        Ok(self.in_flight.set(lines).map_err(cannot_write)?)
    }
}

/// How a batch ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ended {
    Completed,
    Expired,
    Cancelled,
}

impl Ended {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Ended::Completed => "completed",
            Ended::Expired => "expired",
            Ended::Cancelled => "cancelled",
        }
    }

    /// The error of rows that have no answer at the end.
    pub(super) fn error_of_open_rows(self) -> RowError {
        match self {
            Ended::Completed => RowError::new(Code::InternalError, "The server has lost the answer to this request."),
            Ended::Expired => RowError::expired(),
            Ended::Cancelled => RowError::cancelled(),
        }
    }
}

fn cannot_write(error: io::Error) -> Failure {
    Failure::io("cannot write the answers of the batch", &error)
}
