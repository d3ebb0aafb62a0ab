//! One attempt elsewhere, from its intent to its proved end: looked up before it is submitted, read until the agent's last line.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use stepwell_base::artifact::ArtifactRef;
use stepwell_base::json::{self, Limit};
use stepwell_base::protocol::{FromAttempt, ToAttempt};

use super::attempt::Shared;
use super::folder::{JobFolder, Lines, read_from};
use super::host::{Host, HostError, JobState, Need, Place};
use super::messages::{Job, Order, Told};
use crate::executors::executor::{AttemptId, Exit, Report};

/// Time between two questions about a job whose agent tells what happens.
const LOOK: Duration = Duration::from_secs(2);
/// Time that an agent has to obey `Kill` before the system ends its job.
const KILL_GRACE: Duration = Duration::from_secs(3);
/// Pauses between two tries while the system does not answer.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Longest delay of a shared folder: the largest that NFS caches attributes for by default.
const LATEST: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// It is not known whether the system has the attempt.
    Unknown,
    Waiting,
    Running,
    Done,
}

/// The strongest wish of the engine so far.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Wish {
    Run,
    Interrupt,
    Terminate,
    Kill,
}

pub(super) struct Tracked {
    place: Place,
    job: Job,
    shared: Arc<Shared>,
    phase: Phase,
    lines: Lines,
    /// Lines that are read and not heard yet, each with the offset behind it.
    unheard: VecDeque<(Vec<u8>, u64)>,
    /// Offset behind the last line that was heard.
    heard_to: u64,
    wish: Wish,
    /// Orders that are not written yet.
    outbox: VecDeque<Order>,
    /// Set until the checkpoints before this offset have their acknowledgements: an engine can die after it has committed one, and
    /// the worker waits for it.
    owes_up_to: Option<u64>,
    /// What the agent has told about the end.
    exit: Option<Exit>,
    /// The engine has heard a last message of the attempt.
    concluded: bool,
    /// The system has just refused the attempt, so it does not have it.
    refused: bool,
    /// More than one job may exist.
    resubmitted: bool,
    next_look: Instant,
    next_beat: Instant,
    next_kill: Instant,
    /// Set while the system does not answer.
    retry_at: Option<Instant>,
    pause: Duration,
    late_since: Option<Instant>,
    /// Set while the system does not know an attempt that has started, and nothing is told.
    absent_since: Option<Instant>,
    noted: String,
}

impl Tracked {
    /// `offset` is where to read on in what the agent tells.
    pub(super) fn new(place: Place, job: Job, shared: Arc<Shared>, offset: u64) -> Tracked {
        let now = Instant::now();
        Tracked {
            place,
            job,
            shared,
            phase: Phase::Unknown,
            lines: Lines::from(offset),
            unheard: VecDeque::new(),
            heard_to: offset,
            wish: Wish::Run,
            outbox: VecDeque::new(),
            owes_up_to: Some(offset).filter(|offset| *offset > 0),
            exit: None,
            concluded: false,
            refused: false,
            resubmitted: false,
            next_look: now,
            next_beat: now,
            next_kill: now,
            retry_at: None,
            pause: FIRST_PAUSE,
            late_since: None,
            absent_since: None,
            noted: String::new(),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    pub(super) fn order(&mut self, order: Order) {
        let wish = match &order {
            Order::Attempt(ToAttempt::Interrupt) => Wish::Interrupt,
            Order::Attempt(_) => Wish::Run,
            Order::Terminate => Wish::Terminate,
            Order::Kill => Wish::Kill,
        };
        if wish == Wish::Kill && self.wish < Wish::Kill {
            let grace = if self.phase == Phase::Running { KILL_GRACE } else { Duration::ZERO };
            self.next_kill = Instant::now() + grace;
            // The engine listens to nothing but the end.
            self.shared.silence();
        }
        self.wish = self.wish.max(wish);
        self.outbox.push_back(order);
        // A wish is worth a try at once.
        self.retry_at = None;
    }

    /// Takes the next steps. Returns soon: nothing here waits for the attempt.
    pub(super) fn advance(&mut self, host: &mut dyn Host) {
        let now = Instant::now();
        if self.retry_at.is_some_and(|at| at > now) {
            return self.beat(now);
        }
        match self.try_advance(host, now) {
            Ok(()) => (self.retry_at, self.pause) = (None, FIRST_PAUSE),
            // Of what may run already, a refusal tells nothing.
            Err(HostError::Refused(failure)) if self.place.folder.is_submitted() && !self.refused => {
                self.does_not_answer(&failure.to_string(), now);
            }
            Err(HostError::Refused(failure)) => {
                self.report(FromAttempt::Failed(failure));
                self.finish(host, Exit::default());
            }
            Err(HostError::Unreachable(why)) => self.does_not_answer(&why, now),
        }
    }

    fn does_not_answer(&mut self, why: &str, now: Instant) {
        self.note(format!("{} does not answer, so the attempt may run or wait there: {why}", self.job.head.executor));
        self.retry_at = Some(now + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        // Silence of the system is not silence of the worker.
        self.beat(now);
    }

    fn try_advance(&mut self, host: &mut dyn Host, now: Instant) -> Result<(), HostError> {
        if self.phase == Phase::Unknown && self.wish > Wish::Run && !self.place.folder.is_submitted() {
            // Nobody needs to be asked about what was never submitted.
            self.finish_unstarted(host);
        }
        if self.phase == Phase::Unknown {
            self.find_or_submit(host)?;
        }
        if self.phase == Phase::Done {
            return Ok(());
        }
        self.pay_acknowledgements(host)?;
        self.write_orders(host)?;
        self.read(host)?;
        if self.wish == Wish::Kill && now >= self.next_kill && self.exit.is_none()
            || self.phase == Phase::Waiting && self.wish > Wish::Run && now >= self.next_kill
        {
            self.next_kill = now + KILL_GRACE;
            self.next_look = now;
            host.kill(&self.place)?;
        }
        if let Some(exit) = self.exit.clone() {
            self.finish(host, exit);
        } else if now >= self.next_look {
            self.next_look = now + LOOK;
            self.look(host)?;
        }
        if self.phase == Phase::Waiting {
            self.beat(now);
        }
        Ok(())
    }

    /// Looks before it submits: an earlier engine may have submitted the attempt and died before it knew.
    fn find_or_submit(&mut self, host: &mut dyn Host) -> Result<(), HostError> {
        match host.look(&self.place)? {
            JobState::Absent if host.has_started(&self.place)? => {
                self.phase = Phase::Running;
                Ok(())
            }
            JobState::Absent if self.wish > Wish::Run => {
                self.finish_unstarted(host);
                Ok(())
            }
            JobState::Absent => {
                self.submit(host)?;
                self.phase = Phase::Waiting;
                self.next_look = Instant::now();
                Ok(())
            }
            JobState::Waiting(_) => {
                self.phase = Phase::Waiting;
                Ok(())
            }
            JobState::Running => {
                self.phase = Phase::Running;
                Ok(())
            }
            JobState::Ended(exit) => self.conclude(host, exit),
        }
    }

    fn submit(&mut self, host: &mut dyn Host) -> Result<(), HostError> {
        let record = self.place.folder.record_submission();
        record.map_err(|error| HostError::Unreachable(format!("`{}`: {error}", self.place.folder.path().display())))?;
        let submitted = busy(&self.heart(), || host.submit(&self.place, &self.job));
        self.refused = matches!(submitted, Err(HostError::Refused(_)));
        submitted
    }

    fn heart(&self) -> Heart {
        let (id, shared) = (self.place.id.clone(), self.shared.clone());
        Heart { id, shared, period: self.job.heartbeat / 3, offset: self.heard_to }
    }

    fn look(&mut self, host: &mut dyn Host) -> Result<(), HostError> {
        match host.look(&self.place)? {
            JobState::Running => self.phase = Phase::Running,
            JobState::Waiting(reason) => {
                if !reason.is_empty() {
                    self.note(format!("waits for {}: {reason}", self.job.head.executor));
                }
            }
            JobState::Ended(exit) => return self.conclude(host, exit),
            // Submitted, and lost before it started, such as with a controller that died: it is submitted again.
            JobState::Absent if !host.has_started(&self.place)? => {
                self.resubmitted = true;
                self.phase = Phase::Unknown;
            }
            JobState::Absent => return self.forgotten(host),
        }
        self.absent_since = None;
        Ok(())
    }

    /// The system does not know an attempt that has started: it ended long ago, or a controller lost its memory while the agent runs.
    /// Only silence tells, also of an agent that had time to obey.
    fn forgotten(&mut self, host: &mut dyn Host) -> Result<(), HostError> {
        if self.absent_since.get_or_insert_with(Instant::now).elapsed() < LATEST {
            return Ok(());
        }
        if self.wish < Wish::Kill {
            self.absent_since = None;
            self.order(Order::Kill);
            return Ok(());
        }
        self.conclude(host, Exit::default())
    }

    /// The job is gone. Reads the rest of what its agent told; `evidence` counts only without a last line.
    fn conclude(&mut self, host: &mut dyn Host, evidence: Exit) -> Result<(), HostError> {
        while self.read(host)? {}
        if self.exit.is_none() && evidence.code == Some(0) && self.late_by() < LATEST {
            // The agent has written its last line, and the shared folder does not show it yet.
            return Ok(());
        }
        if !self.concluded && self.exit.is_none() && self.wish > Wish::Run && !host.has_started(&self.place)? {
            self.finish_unstarted(host);
            return Ok(());
        }
        let exit = self.exit.clone().unwrap_or(evidence);
        self.finish(host, exit);
        Ok(())
    }

    /// Time since the job was first seen without its agent's last line.
    fn late_by(&mut self) -> Duration {
        self.late_since.get_or_insert_with(Instant::now).elapsed()
    }

    /// Ends an attempt that has never run.
    fn finish_unstarted(&mut self, host: &mut dyn Host) {
        if self.wish == Wish::Interrupt {
            self.report(FromAttempt::Interrupted);
        }
        self.finish(host, Exit::default());
    }

    fn finish(&mut self, host: &mut dyn Host, exit: Exit) {
        if self.resubmitted {
            // The job that was thought lost may wait somewhere. It would find the attempt taken, but nobody wants it.
            let _ = host.kill(&self.place);
        }
        // A log that cannot be copied now costs lines, not results.
        let _ = host.copy_log(&self.place, &self.job, Need::Whole);
        self.phase = Phase::Done;
        self.shared.end(&self.place.id, exit);
    }

    /// Acknowledges the checkpoints that an earlier engine has committed. Only the other side has all that was told.
    fn pay_acknowledgements(&mut self, host: &mut dyn Host) -> Result<(), HostError> {
        let Some(end) = self.owes_up_to else { return Ok(()) };
        let (mut lines, mut committed) = (Lines::from(0), 0);
        while lines.offset() < end {
            let bytes = host.told(&self.place, lines.offset())?;
            if bytes.is_empty() {
                break;
            }
            committed += lines.add(&bytes).iter().filter(|(line, at)| *at <= end && is_checkpoint(line)).count();
        }
        let acknowledged =
            acknowledgements(&self.place.folder).map_err(|error| HostError::Unreachable(error.to_string()))?;
        let owed = committed.saturating_sub(acknowledged);
        self.outbox.extend(std::iter::repeat_n(Order::Attempt(ToAttempt::CheckpointCommitted), owed));
        self.owes_up_to = None;
        Ok(())
    }

    fn write_orders(&mut self, host: &mut dyn Host) -> Result<(), HostError> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        let mut text = Vec::new();
        for order in &self.outbox {
            serde_json::to_writer(&mut text, order).map_err(|error| HostError::Unreachable(error.to_string()))?;
            text.push(b'\n');
        }
        host.order(&self.place, &text)?;
        self.outbox.clear();
        Ok(())
    }

    /// Reads what is new. True if there was something.
    fn read(&mut self, host: &mut dyn Host) -> Result<bool, HostError> {
        let bytes = host.told(&self.place, self.lines.offset())?;
        if self.phase == Phase::Running || !bytes.is_empty() {
            host.copy_log(&self.place, &self.job, Need::Soon)?;
        }
        if !bytes.is_empty() {
            self.absent_since = None;
        }
        self.unheard.extend(self.lines.add(&bytes));
        while let Some((line, end)) = self.unheard.front() {
            let (read, end) = (json::parse::<Told>(line, Limit::STORED), *end);
            match read {
                Ok(told) => self.hear(host, told, end)?,
                Err(error) => self.tell(Report::Garbled(garbled(line, &error.to_string())), end),
            }
            // Only now: what the host could not bring is heard again.
            self.unheard.pop_front();
            self.heard_to = end;
        }
        if self.lines.is_too_long() {
            self.tell(Report::Garbled("the agent sent a line that is too long".to_owned()), self.heard_to);
        }
        Ok(!bytes.is_empty())
    }

    fn tell(&self, report: Report, end: u64) {
        self.shared.tell(&self.place.id, report, end);
    }

    fn hear(&mut self, host: &mut dyn Host, told: Told, end: u64) -> Result<(), HostError> {
        match told {
            Told::Started { machine } => {
                self.phase = Phase::Running;
                let message = format!("runs on {machine} ({})", self.job.head.executor);
                self.tell(Report::Message(FromAttempt::Note { message }), end);
            }
            Told::Message(message) => {
                self.phase = Phase::Running;
                let artifacts = artifacts(&message);
                if !artifacts.is_empty() {
                    busy(&self.heart(), || host.bring(&self.place, &self.job, &artifacts))?;
                }
                self.concluded |=
                    matches!(message, FromAttempt::Done(_) | FromAttempt::Failed(_) | FromAttempt::Interrupted);
                self.tell(Report::Message(message), end);
            }
            Told::Garbled(why) => self.tell(Report::Garbled(why), end),
            Told::Refused(failure) => {
                self.concluded = true;
                self.exit = Some(Exit::default());
                self.tell(Report::Message(FromAttempt::Failed(failure)), end);
            }
            Told::Ended(exit) => self.exit = Some(exit),
        }
        Ok(())
    }

    /// Renews the lease in the name of an attempt that cannot be heard.
    fn beat(&mut self, now: Instant) {
        if now >= self.next_beat {
            self.next_beat = now + self.job.heartbeat / 3;
            self.report(FromAttempt::Heartbeat);
        }
    }

    fn note(&mut self, message: String) {
        if self.noted != message {
            self.report(FromAttempt::Note { message: message.clone() });
            self.noted = message;
        }
    }

    /// Reports in the agent's place.
    fn report(&mut self, message: FromAttempt) {
        self.tell(Report::Message(message), self.heard_to);
    }
}

/// Renews the lease of an attempt while its files travel.
struct Heart {
    id: AttemptId,
    shared: Arc<Shared>,
    period: Duration,
    offset: u64,
}

fn busy<T>(heart: &Heart, work: impl FnOnce() -> T) -> T {
    let (done, waits) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while waits.recv_timeout(heart.period) == Err(RecvTimeoutError::Timeout) {
                heart.shared.tell(&heart.id, Report::Message(FromAttempt::Heartbeat), heart.offset);
            }
        });
        let result = work();
        drop(done);
        result
    })
}

/// The acknowledgements that the engines so far have written.
fn acknowledgements(folder: &JobFolder) -> std::io::Result<usize> {
    let is_one =
        |line: &[u8]| matches!(json::parse(line, Limit::STORED), Ok(Order::Attempt(ToAttempt::CheckpointCommitted)));
    let (mut lines, mut found) = (Lines::from(0), 0);
    loop {
        let bytes = read_from(&folder.orders(), lines.offset())?;
        if bytes.is_empty() {
            return Ok(found);
        }
        found += lines.add(&bytes).iter().filter(|(line, _)| is_one(line)).count();
    }
}

fn is_checkpoint(line: &[u8]) -> bool {
    matches!(json::parse(line, Limit::STORED), Ok(Told::Message(FromAttempt::Checkpoint(_))))
}

fn garbled(line: &[u8], error: &str) -> String {
    let shown: String = String::from_utf8_lossy(line).chars().take(200).collect();
    format!("the agent broke the protocol with the line `{shown}`: {error}")
}

/// The artifacts that a message refers to.
fn artifacts(message: &FromAttempt) -> Vec<ArtifactRef> {
    match message {
        FromAttempt::Checkpoint(checkpoint) => checkpoint.artifact.iter().cloned().collect(),
        FromAttempt::Done(outputs) => outputs.artifacts.values().cloned().collect(),
        _ => Vec::new(),
    }
}
