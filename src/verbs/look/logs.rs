//! `stepwell logs [RUN [STEP]] [-f]`

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::output::{Output, Printed, Screen};
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::shell;
use stepwell_run::event::{Event, StepEvent, StepEventKind};
use stepwell_store::{AttemptedStep, Reader, attempt_log};

const FOLLOW_INTERVAL: Duration = Duration::from_millis(200);
/// Time after an attempt's end was committed in which its processes may still write.
const DRAIN_TIME: Duration = Duration::from_secs(10);
const PART: usize = 64 << 10;

/// Print the output of a run's attempts
///
/// Each attempt has one log with both of its streams. A pipe or a file receives the bytes unchanged.
#[derive(Args, Debug)]
pub struct LogsArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
    /// Only this step
    #[arg(value_name = "STEP")]
    pub step: Option<String>,
    /// Continue to print until the run ends
    #[arg(short, long)]
    pub follow: bool,
}

pub fn logs(session: &Session, args: &LogsArgs) -> Result<Exit, CliError> {
    let (reader, id) = session.find_kept_run(&args.run)?;
    let only = args.step.as_deref().map(StepId::from);
    if let Some(step) = &only
        && reader.step_status(id, step)?.is_none()
    {
        return Err(CliError::not_found(format!("run {id} has no step `{step}`"))
            .hint(format!("{} lists its steps", shell::stepwell("show", [&*args.run]))));
    }
    // Read this before the steps: a later start has a later event.
    let mut seen = reader.newest_event()?;
    let mut followers: Vec<Follower> = Vec::new();
    let mut printed = false;
    for AttemptedStep { id: step, attempts, is_running } in reader.attempted_steps(id, only.as_ref())? {
        for attempt in 1..=attempts {
            let mut follower = Follower::new(session.state_dir(), id, &step, attempt);
            if follower.print(&session.out)? == Printed::ReaderGone {
                return Ok(Exit::Ok);
            }
            printed |= follower.offset > 0;
            if args.follow && is_running && attempt == attempts {
                followers.push(follower);
            } else {
                follower.finish(&session.out)?;
            }
        }
    }
    if !printed && followers.is_empty() {
        say_where(session, &reader, id, args)?;
    }
    if !args.follow {
        return Ok(Exit::Ok);
    }
    loop {
        std::thread::sleep(FOLLOW_INTERVAL);
        // Read the status before the logs, so that everything written up to the end of the run is printed.
        let ended = !reader.run(id)?.status.is_active();
        for row in reader.events_after(id, seen) {
            let row = row?;
            seen = row.seq;
            let Event::Step(StepEvent { step, kind, .. }) = &row.event else { continue };
            if only.as_ref().is_some_and(|only| only != step) {
                continue;
            }
            if let StepEventKind::AttemptStarted { attempt, .. } = kind {
                followers.push(Follower::new(session.state_dir(), id, step, *attempt));
            } else if ends_attempt(kind) {
                followers.iter_mut().filter(|follower| follower.step == *step).for_each(Follower::attempt_ended);
            }
        }
        for follower in &mut followers {
            if follower.print(&session.out)? == Printed::ReaderGone {
                return Ok(Exit::Ok);
            }
            if ended || !follower.may_grow() {
                follower.finish(&session.out)?;
            }
        }
        if ended {
            return Ok(Exit::Ok);
        }
        followers.retain(Follower::may_grow);
    }
}

/// Says where results are if there is no log: a training reports its loss as metrics and prints nothing.
fn say_where(session: &Session, reader: &Reader, run: RunId, args: &LogsArgs) -> Result<(), CliError> {
    let step = args.step.as_deref();
    let has_series = !reader.series_steps(run, None)?.is_empty();
    let about: Vec<&str> = std::iter::once(&*args.run).chain(step).collect();
    let what = match step {
        Some(step) => format!("step `{step}` has written no log"),
        None => "no step has written a log".to_owned(),
    };
    session.out.message(&match (step, has_series) {
        (Some(step), true) if !reader.has_series(run, &StepId::from(step))? => what,
        (_, true) => format!("{what}: {} shows its loss and other metrics", shell::stepwell("metrics", about)),
        (_, false) => what,
    });
    Ok(())
}

fn ends_attempt(kind: &StepEventKind) -> bool {
    matches!(
        kind,
        StepEventKind::AttemptFailed { .. }
            | StepEventKind::AttemptReleased { .. }
            | StepEventKind::Succeeded { .. }
            | StepEventKind::Failed { .. }
            | StepEventKind::Canceled
    )
}

/// Prints new bytes of an attempt's log. The file stays open, because a shorter one may replace it when the attempt
/// ends.
struct Follower {
    step: StepId,
    attempt: u32,
    path: PathBuf,
    /// `None` until it exists; attempts on the engine's own thread have no log.
    log: Option<File>,
    offset: u64,
    /// Bytes dropped since the last printed byte.
    dropped: u64,
    /// Time when the end of the attempt was seen.
    ended: Option<Instant>,
    screen: Screen,
}

impl Follower {
    fn new(state_dir: &Path, run: RunId, step: &StepId, attempt: u32) -> Follower {
        let path = attempt_log(state_dir, run, step, attempt);
        Follower {
            step: step.clone(),
            attempt,
            path,
            log: None,
            offset: 0,
            dropped: 0,
            ended: None,
            screen: Screen::default(),
        }
    }

    fn attempt_ended(&mut self) {
        self.ended.get_or_insert_with(Instant::now);
    }

    fn may_grow(&self) -> bool {
        self.ended.is_none_or(|ended| self.log.is_some() && ended.elapsed() < DRAIN_TIME)
    }

    /// Prints new bytes unchanged, except on a terminal.
    fn print(&mut self, out: &Output) -> Result<Printed, CliError> {
        let mut part = vec![0; PART];
        loop {
            let count = self.read(&mut part).map_err(|error| CliError::io("read", &self.path, error))?;
            if count == 0 {
                return Ok(Printed::Written);
            }
            let mut text = Vec::new();
            if self.offset == 0 {
                text.extend(format!("==> {} attempt {}\n", self.step, self.attempt).bytes());
            }
            self.offset += count as u64;
            // These bytes were dropped between finding the end of the hole and reading.
            if part[..count].iter().all(|byte| *byte == 0) {
                self.dropped += count as u64;
                continue;
            }
            if self.dropped > 0 {
                let dropped = self.dropped;
                let told = format!("\n[stepwell: {dropped} bytes of this log were dropped, see `log_limit`]\n");
                text.extend(told.bytes());
                self.dropped = 0;
            }
            if out.is_terminal() {
                text.extend(self.screen.show(&part[..count]).bytes());
            } else {
                text.extend(&part[..count]);
            }
            if out.raw(&text)? == Printed::ReaderGone {
                return Ok(Printed::ReaderGone);
            }
        }
    }

    /// Prints the rest that a terminal has not shown because more bytes could have followed.
    fn finish(&mut self, out: &Output) -> Result<Printed, CliError> {
        out.raw(self.screen.finish().as_bytes())
    }

    fn read(&mut self, part: &mut [u8]) -> io::Result<usize> {
        if self.log.is_none() && self.path.is_file() {
            self.log = Some(File::open(&self.path)?);
        }
        let Some(mut log) = self.log.as_ref() else { return Ok(0) };
        // On a file system without holes, the log is truncated instead.
        self.offset = self.offset.min(log.metadata()?.len());
        (self.offset, self.dropped) = behind_hole(log, self.offset, self.dropped);
        log.seek(SeekFrom::Start(self.offset))?;
        log.read(part)
    }
}

/// Returns the offset at which data resumes after `offset`, and the number of bytes dropped up to there.
#[cfg(target_os = "linux")]
fn behind_hole(log: &File, offset: u64, dropped: u64) -> (u64, u64) {
    match rustix::fs::seek(log, rustix::fs::SeekFrom::Data(offset)) {
        Ok(data) => (data, dropped + data - offset),
        Err(_) => (offset, dropped),
    }
}

#[cfg(not(target_os = "linux"))]
fn behind_hole(_log: &File, offset: u64, dropped: u64) -> (u64, u64) {
    (offset, dropped)
}
