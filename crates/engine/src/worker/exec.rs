//! `stepwell worker exec` runs one attempt after another in its own process. Standard input is a socket to the
//! engine. When the socket closes, the engine is gone: the worker then kills its whole process group and that of
//! the user's program at once, so that nothing trains unseen. (A parent-death signal would end this process before
//! it could end its group.)

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpgrp, getpid, kill_current_process_group};

use stepwell_artifact::{ArtifactStore, Holder};
use stepwell_base::failure::Failure;
use stepwell_base::json::{self, Limit};
use stepwell_base::protocol::{AttemptRequest, FromAttempt, ToAttempt};
use stepwell_steps::{Reporter, adopt_orphans, find, has_program, kill_program};

use super::attempt::perform;
use super::reporter::{SocketReporter, write_lines};
use super::usage::{Meter, gpus};
use crate::executors::AttemptId;
use crate::signals::WORKER_STOPS;

/// Sets the milliseconds between two heartbeats.
pub const HEARTBEAT_VARIABLE: &str = "STEPWELL_HEARTBEAT_MS";

/// Used without the variable, which happens only when a person runs the verb.
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(10);

/// Serves the attempts that the engine sends. The outcome is in the last message, not in the exit code.
pub fn exec() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error is the attempt's log, and `eprintln!` would panic on a full disk.
            #[expect(clippy::disallowed_methods, reason = "the log of the attempt")]
            let _ = writeln!(std::io::stderr(), "stepwell worker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> std::io::Result<()> {
    let socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    // Fails when standard input is not a socket: a person ran the verb.
    socket.peer_addr().map_err(|_| std::io::Error::other("`worker exec` is started by the engine only"))?;
    adopt_orphans();
    let incoming = BufReader::new(socket.try_clone()?);
    let outgoing = Arc::new(Mutex::new(socket));

    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in WORKER_STOPS {
        signal_hook::flag::register(signal, interrupted.clone())?;
    }
    let (queue, requests) = channel();
    let (acknowledge, acknowledged) = channel();
    let flag = interrupted.clone();
    thread::Builder::new().name("engine".into()).spawn(move || obey(incoming, &flag, &queue, &acknowledge))?;
    // While the worker waits for its first attempt, it is as if it worked.
    let work = Arc::new(Mutex::new(Work::Starting));
    let (beats, at_work) = (outgoing.clone(), work.clone());
    thread::Builder::new().name("heartbeat".into()).spawn(move || beat(&beats, &at_work))?;

    let mut reporter = SocketReporter::new(outgoing.clone(), acknowledged, interrupted);
    for request in requests {
        set(&work, Work::Attempt(Box::new(Meter::start(&request.state_dir))));
        let last = attempt(&request, &mut reporter);
        set(&work, Work::Idle);
        if !is_as_new(&request, &last, &reporter) {
            return write_lines(&outgoing, &[last]);
        }
        write_lines(&outgoing, &[FromAttempt::Idle, last])?;
    }
    Ok(())
}

/// State of a worker process.
enum Work {
    Starting,
    Attempt(Box<Meter>),
    Idle,
}

fn set(work: &Mutex<Work>, now: Work) {
    *work.lock().unwrap_or_else(PoisonError::into_inner) = now;
}

fn attempt(request: &AttemptRequest, reporter: &mut SocketReporter) -> FromAttempt {
    let (run, step) = (request.run, &request.step);
    let _span = tracing::info_span!("attempt", %run, %step, attempt = request.attempt).entered();
    tracing::info!(kind = request.kind, "attempt runs");
    let id = AttemptId { run, step: step.clone(), fence: request.fence };
    match ArtifactStore::open_as(&request.state_dir, &Holder::Attempt(id.holder())) {
        Ok(artifacts) => perform(request, &artifacts, reporter),
        Err(error) => FromAttempt::Failed(Failure::from(error)),
    }
}

/// True when the worker can serve another attempt. This takes success, a kind that leaves no trace, no request to
/// stop, and no process of a program left behind.
fn is_as_new(request: &AttemptRequest, last: &FromAttempt, reporter: &SocketReporter) -> bool {
    matches!(last, FromAttempt::Done(_))
        && find(&request.kind).is_some_and(|handler| handler.leaves_no_trace())
        && !reporter.interrupted()
        && !has_program()
}

/// Obeys the engine's messages and ends this process when the engine is gone.
fn obey(incoming: impl BufRead, interrupted: &AtomicBool, requests: &Sender<AttemptRequest>, acknowledge: &Sender<()>) {
    for line in incoming.split(b'\n').map_while(Result::ok) {
        match json::parse(&line, Limit::STORED) {
            Ok(ToAttempt::Interrupt) => interrupted.store(true, Ordering::Relaxed),
            // The reporter is gone only when the attempt is over.
            Ok(ToAttempt::CheckpointCommitted) => drop(acknowledge.send(())),
            // The queue is closed only when the process is about to end.
            Ok(ToAttempt::Start(request)) => drop(requests.send(*request)),
            Err(_) => break,
        }
    }
    die();
}

/// Ends this process, its whole group and the group of its program.
pub(super) fn die() -> ! {
    kill_program();
    if getpgrp() == getpid() {
        let _ = kill_current_process_group(Signal::KILL);
    }
    std::process::exit(1);
}

/// Tells the engine that this process runs, and now and then what it uses. Stopped and dead processes send nothing.
fn beat(outgoing: &Mutex<UnixStream>, work: &Mutex<Work>) {
    let period = std::env::var(HEARTBEAT_VARIABLE).ok().and_then(|text| text.parse().ok());
    let period = period.map_or(DEFAULT_HEARTBEAT, Duration::from_millis);
    let mut next = Instant::now() + period;
    loop {
        let now = Instant::now();
        let wake = work_due(work).map_or(next, |due| due.min(next));
        thread::sleep(wake.saturating_duration_since(now));
        let gpus = if work_due(work).is_some_and(|due| due <= Instant::now()) { gpus() } else { None };
        // Held until the messages are written: they belong to this attempt, not to the next one of this worker.
        let mut work = work.lock().unwrap_or_else(PoisonError::into_inner);
        let (working, usage) = match &mut *work {
            Work::Starting => (true, None),
            Work::Attempt(meter) => (true, meter.measure(gpus)),
            Work::Idle => (false, None),
        };
        let mut messages: Vec<FromAttempt> = usage.into_iter().map(FromAttempt::Usage).collect();
        if Instant::now() >= next {
            next = Instant::now() + period;
            messages.extend(working.then_some(FromAttempt::Heartbeat));
        }
        if !messages.is_empty() && write_lines(outgoing, &messages).is_err() {
            die();
        }
    }
}

/// Time of the next measurement of the attempt, if there is one.
fn work_due(work: &Mutex<Work>) -> Option<Instant> {
    match &*work.lock().unwrap_or_else(PoisonError::into_inner) {
        Work::Attempt(meter) => Some(meter.due()),
        Work::Starting | Work::Idle => None,
    }
}
