//! `stepwell worker remote FOLDER` runs one attempt on the other side. To the attempt it is the engine: it starts the worker, sends it
//! the request and the orders, and ends it to the last process. It outlives the engine: a worker that waits for the acknowledgement of
//! a checkpoint waits until an engine adopts the attempt.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::iterator::Signals;

use stepwell_base::failure::Failure;
use stepwell_base::json::{self, Limit};
use stepwell_base::protocol::{FromAttempt, Progress, ToAttempt};
use stepwell_steps::own_binary;

use super::folder::{JobFolder, Lines, append, read_from};
use super::messages::{Job, Order, PROTOCOL, Told, VERSION};
use crate::executors::executor::{Attempt, Executor, Exit, Launch, Report, Sink, Sweep};
use crate::executors::local::Local;
use crate::signals::WORKER_STOPS;

/// Time between two looks for orders.
const LOOK: Duration = Duration::from_millis(100);
/// Shortest time between two reports of progress: each is kept in a file.
const PROGRESS_PERIOD: Duration = Duration::from_secs(1);
/// Pause before another try to write, and the number of tries: a shared folder may be away for a while.
const WRITE_PAUSE: Duration = Duration::from_secs(1);
const WRITE_TRIES: usize = 600;
const REAP_PAUSE: Duration = Duration::from_secs(1);
const REAP_TRIES: usize = 60;

enum Heard {
    Report(Report),
    Order(Order),
    /// A batch system announces the end of the job's time.
    Stop,
}

/// Runs the attempt of a folder. The outcome is in the folder, not in the exit code.
pub fn agent(folder: &Path) -> ExitCode {
    match serve(&JobFolder::at(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::disallowed_methods, reason = "the log of the job")]
            let _ = writeln!(io::stderr(), "stepwell worker remote: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(folder: &JobFolder) -> io::Result<()> {
    if !folder.request().exists() {
        return Err(io::Error::other(format!("there is no attempt in `{}`", folder.path().display())));
    }
    if !folder.claim()? {
        return Err(io::Error::other("another job runs this attempt already"));
    }
    let (sender, heard) = channel();
    listen_for_signals(&sender)?;
    let job = match readable(folder) {
        Ok(job) => job,
        Err(failure) => return tell(folder, &Told::Refused(failure)),
    };
    let program = own_binary()?;
    let for_reports = sender.clone();
    let sink: Sink = Arc::new(move |_, _, report| drop(for_reports.send(Heard::Report(report))));
    let local = Local::single(program, sink, job.log_limit);
    tell(folder, &Told::Started { machine: machine() })?;
    let launch = Launch { request: job.request, heartbeat: job.heartbeat, resources: job.resources, executor: None };
    let mut attempt = match local.start(launch) {
        Ok(attempt) => attempt,
        Err(failure) => {
            tell(folder, &Told::Message(FromAttempt::Failed(failure)))?;
            return tell(folder, &Told::Ended(Exit::default()));
        }
    };
    let orders = folder.orders();
    thread::Builder::new().name("orders".into()).spawn(move || watch_orders(&orders, &sender))?;
    let passed = pass_on(folder, &heard, attempt.as_mut());
    // Also when nothing can be written any more: the attempt must not outlive its agent.
    let exit = end(attempt.as_mut());
    passed?;
    tell(folder, &Told::Ended(exit))
}

/// Reads the request, or says why this build cannot serve it.
fn readable(folder: &JobFolder) -> Result<Job, Failure> {
    let head = folder.read_head().map_err(Failure::fatal)?;
    let head = head.ok_or_else(|| Failure::fatal("the request of the attempt has vanished"))?;
    if head.protocol != PROTOCOL || head.version != VERSION {
        let message = format!(
            "the Stepwell there is version {VERSION} (protocol {PROTOCOL}), and the engine is version {} (protocol {})",
            head.version, head.protocol
        );
        let hint =
            format!("install the same build on both sides, or leave out `program` of the executor `{}`", head.executor);
        return Err(Failure::fatal(message).with_hint(hint));
    }
    let job = folder.read_job().map_err(Failure::fatal)?;
    job.ok_or_else(|| Failure::fatal("the request of the attempt has vanished"))
}

fn machine() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| Some(std::env::var_os("HOSTNAME")?.to_string_lossy().into_owned()));
    name.map_or_else(|| "another machine".to_owned(), |name| name.trim().to_owned())
}

fn listen_for_signals(sender: &Sender<Heard>) -> io::Result<()> {
    let mut signals = Signals::new(WORKER_STOPS)?;
    let sender = sender.clone();
    let listen = move || {
        for _ in signals.forever() {
            if sender.send(Heard::Stop).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(listen).map(drop)
}

/// Passes on the orders of the engine until the agent ends.
fn watch_orders(path: &Path, sender: &Sender<Heard>) {
    let mut lines = Lines::from(0);
    loop {
        // A folder that cannot be read now may be readable later.
        let bytes = read_from(path, lines.offset()).unwrap_or_default();
        for (line, _) in lines.add(&bytes) {
            let order = json::parse::<Order>(&line, Limit::STORED).map(Heard::Order);
            // An unreadable order is from another build.
            if order.is_ok_and(|order| sender.send(order).is_err()) {
                return;
            }
        }
        thread::sleep(LOOK);
    }
}

/// Passes messages on in both directions until the worker has ended.
fn pass_on(folder: &JobFolder, heard: &Receiver<Heard>, attempt: &mut dyn Attempt) -> io::Result<()> {
    let mut progress = LastProgress::default();
    loop {
        let next = match heard.recv_timeout(progress.due()) {
            Ok(next) => next,
            Err(RecvTimeoutError::Timeout) => {
                if let Some(message) = progress.take() {
                    tell(folder, &Told::Message(message))?;
                }
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        match next {
            Heard::Report(Report::Message(FromAttempt::Progress(now))) => progress.set(now),
            Heard::Report(Report::Message(message)) => {
                for message in progress.flush().into_iter().chain([message]) {
                    tell(folder, &Told::Message(message))?;
                }
            }
            Heard::Report(Report::Last(message)) => return tell(folder, &Told::Message(message)),
            Heard::Report(Report::Garbled(why)) => tell(folder, &Told::Garbled(why))?,
            Heard::Report(Report::Ended) => return Ok(()),
            Heard::Order(Order::Attempt(message)) => attempt.send(&message),
            Heard::Order(Order::Terminate) => attempt.terminate(),
            Heard::Order(Order::Kill) => attempt.kill(),
            Heard::Stop => attempt.send(&ToAttempt::Interrupt),
        }
    }
}

/// The newest progress that is not told yet.
#[derive(Default)]
struct LastProgress {
    waiting: Option<Progress>,
    told_at: Option<Instant>,
}

impl LastProgress {
    fn set(&mut self, progress: Progress) {
        self.waiting = Some(progress);
    }

    /// Longest wait for something else.
    fn due(&self) -> Duration {
        match self.told_at {
            _ if self.waiting.is_none() => PROGRESS_PERIOD,
            Some(at) => PROGRESS_PERIOD.saturating_sub(at.elapsed()),
            None => Duration::ZERO,
        }
    }

    fn take(&mut self) -> Option<FromAttempt> {
        self.waiting.take().map(|progress| {
            self.told_at = Some(Instant::now());
            FromAttempt::Progress(progress)
        })
    }

    /// The waiting progress, if it is due.
    fn flush(&mut self) -> Option<FromAttempt> {
        if self.due().is_zero() { self.take() } else { None }
    }
}

/// Writes a line, and tries again while the folder cannot be written.
fn tell(folder: &JobFolder, told: &Told) -> io::Result<()> {
    let mut tries = 0;
    loop {
        match append(&folder.told(), told) {
            Ok(()) => return Ok(()),
            // The folder was removed: no engine wants this attempt.
            Err(error) if tries == WRITE_TRIES || !folder.path().exists() => return Err(error),
            Err(_) => {
                tries += 1;
                thread::sleep(WRITE_PAUSE);
            }
        }
    }
}

/// Ends what is left of the attempt, and proves it dead.
fn end(attempt: &mut dyn Attempt) -> Exit {
    let mut exit = attempt.reap(Sweep::GroupAndMarked);
    for _ in 0..REAP_TRIES {
        if exit.survivors.is_empty() {
            break;
        }
        thread::sleep(REAP_PAUSE);
        exit = attempt.reap(Sweep::GroupAndMarked);
    }
    exit
}
