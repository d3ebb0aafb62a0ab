//! Worker processes: start, assignment to one attempt after another, and end.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};

use crate::worker::HEARTBEAT_VARIABLE;
use stepwell_base::faults::around;
use stepwell_base::json::{self, JsonError, Limit};
use stepwell_base::protocol::{FromAttempt, ToAttempt};
use stepwell_run::event::ProcessIdentity;

use super::executor::{AttemptId, Exit, Report, Sink, WorkerId};
use super::process::{await_group_end, end_marked, identify, signal_group};

/// A worker that does not read for this long is unreachable; its lease ends it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// Time that an idle worker stays in the pool.
const PATIENCE: Duration = Duration::from_secs(5);

/// Maximum characters to quote of a line that violates the protocol.
const SHOWN: usize = 200;

pub(super) struct Worker {
    id: WorkerId,
    child: Child,
    socket: UnixStream,
    process: Option<ProcessIdentity>,
    heartbeat: Duration,
    shared: Arc<Shared>,
}

/// State that the listening thread shares.
struct Shared {
    attempt: Mutex<AttemptId>,
    /// Leader of the process group of the user's program; 0 while none runs.
    program: AtomicU32,
    /// The worker has reported that nothing of its attempt is left.
    idle: AtomicBool,
}

impl Worker {
    /// Starts a process and a thread that listens to it.
    ///
    /// # Errors
    /// When no process or thread can be started.
    pub(super) fn start(
        program: &Path,
        variables: Vec<(String, String)>,
        log: Option<File>,
        heartbeat: Duration,
        id: &AttemptId,
        sink: &Sink,
    ) -> std::io::Result<Worker> {
        let (ours, theirs) = UnixStream::pair()?;
        let reader = ours.try_clone()?;
        ours.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let second_log = log.as_ref().map(File::try_clone).transpose()?;
        let mut command = Command::new(program);
        command
            .arg0("stepwell")
            .args(["worker", "exec"])
            .envs(variables)
            .env(HEARTBEAT_VARIABLE, (heartbeat / 3).as_millis().max(1).to_string())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(log.map_or_else(Stdio::null, Stdio::from))
            .stderr(second_log.map_or_else(Stdio::null, Stdio::from))
            .process_group(0);
        let child = around!("executor.spawn", command.spawn())?;
        let pid = child.id();
        let shared = Arc::new(Shared {
            attempt: Mutex::new(id.clone()),
            program: AtomicU32::new(0),
            idle: AtomicBool::new(false),
        });
        let number = WorkerId::next();
        let (listened, sink) = (shared.clone(), sink.clone());
        let report = move |id, report| sink(id, number, report);
        let listener = thread::Builder::new().name(format!("worker {pid}"));
        listener
            .spawn(move || listen(reader, pid, &listened, report))
            .inspect_err(|_| signal_group(pid, Signal::KILL))?;
        Ok(Worker { id: number, process: identify(pid), child, socket: ours, heartbeat, shared })
    }

    pub(super) fn id(&self) -> WorkerId {
        self.id
    }

    pub(super) fn process(&self) -> Option<&ProcessIdentity> {
        self.process.as_ref()
    }

    /// Gives the worker an attempt. From now on its reports carry the attempt's id.
    ///
    /// # Errors
    /// When the worker is gone.
    pub(super) fn assign(&mut self, id: &AttemptId, request: &ToAttempt) -> std::io::Result<()> {
        *self.shared.attempt.lock().unwrap_or_else(PoisonError::into_inner) = id.clone();
        self.shared.idle.store(false, Ordering::SeqCst);
        self.send(request)
    }

    pub(super) fn send(&mut self, message: &ToAttempt) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.socket.write_all(&line)
    }

    /// Closes the socket after it lost a message. The worker then ends itself.
    pub(super) fn hang_up(&self) {
        // Fails when the worker has already closed it.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.shared.idle.load(Ordering::SeqCst)
    }

    /// Signals the worker's group and the group of its program.
    pub(super) fn signal(&self, signal: Signal) {
        signal_group(self.child.id(), signal);
        if let Some(leader) = self.program() {
            signal_group(leader, signal);
        }
    }

    fn program(&self) -> Option<u32> {
        Some(self.shared.program.load(Ordering::SeqCst)).filter(|leader| *leader != 0)
    }

    /// Kills what is left, proves it dead, and releases the process id.
    pub(super) fn reap(&mut self, sweep: Option<&AttemptId>) -> Exit {
        self.signal(Signal::KILL);
        let status = around!("executor.reap", self.child.wait()).ok();
        let mut survivors = await_group_end(self.child.id());
        if let Some(leader) = self.program() {
            survivors.extend(await_group_end(leader));
        }
        if let Some(id) = sweep {
            survivors.extend(end_marked(id));
        }
        Exit {
            code: status.and_then(|s| s.code()),
            signal: status.and_then(|s| s.signal()),
            survivors,
            ..Exit::default()
        }
    }
}

/// Returns the next message. An overlong message is read just far enough to exceed the limit, and no further.
fn next_line(lines: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    lines.take(Limit::STORED.bytes + 2).read_until(b'\n', &mut line).ok().filter(|length| *length > 0)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Some(line)
}

/// Forwards the worker's messages until it has ended.
fn listen(socket: UnixStream, pid: u32, shared: &Shared, sink: impl Fn(AttemptId, Report)) {
    let attempt = || shared.attempt.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut last_follows = false;
    let mut lines = BufReader::new(socket);
    while let Some(line) = next_line(&mut lines) {
        let report = match json::parse(&line, Limit::STORED) {
            Ok(FromAttempt::Idle) => {
                last_follows = true;
                continue;
            }
            Ok(FromAttempt::Group { leader }) => {
                shared.program.store(leader, Ordering::SeqCst);
                continue;
            }
            Ok(message) if std::mem::take(&mut last_follows) => {
                // The system may soon reuse the leader's number.
                shared.program.store(0, Ordering::SeqCst);
                shared.idle.store(true, Ordering::SeqCst);
                Report::Last(message)
            }
            Ok(message) => Report::Message(message),
            Err(JsonError::Syntax(_)) => {
                let shown: String = String::from_utf8_lossy(&line).chars().take(SHOWN).collect();
                Report::Garbled(format!("the worker broke the protocol with the line `{shown}`"))
            }
            Err(limit) => Report::Garbled(format!("the worker sent a message that cannot be read: {limit}")),
        };
        sink(attempt(), report);
    }
    // The process id stays reserved until `reap`, so its group can be signalled safely.
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let wait = || waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        while matches!(wait(), Err(rustix::io::Errno::INTR)) {}
    }
    // No receiver waits for the end of an idle worker.
    if !shared.idle.load(Ordering::SeqCst) {
        sink(attempt(), Report::Ended);
    }
}

/// Idle workers, each with the time at which it ends.
#[derive(Default)]
pub(super) struct Pool {
    idle: RefCell<Vec<(Worker, Instant)>>,
}

impl Pool {
    /// Takes the worker that was returned last.
    pub(super) fn take(&self, heartbeat: Duration) -> Option<Worker> {
        let mut idle = self.idle.borrow_mut();
        let found = idle.iter().rposition(|(worker, _)| worker.heartbeat == heartbeat)?;
        Some(idle.remove(found).0)
    }

    pub(super) fn give_back(&self, worker: Worker) {
        self.idle.borrow_mut().push((worker, Instant::now() + PATIENCE));
    }

    /// Time at which the next worker ends.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.idle.borrow().iter().map(|(_, until)| *until).min()
    }

    /// Ends workers whose time is over.
    pub(super) fn retire(&self) {
        let now = Instant::now();
        let due = self.idle.borrow_mut().extract_if(.., |(_, until)| *until <= now).collect::<Vec<_>>();
        for (mut worker, _) in due {
            worker.reap(None);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for (mut worker, _) in self.idle.get_mut().drain(..) {
            worker.reap(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use uuid::Uuid;

    use super::*;
    use stepwell_base::ids::{Fence, RunId, StepId};

    /// A worker can die after it was found idle and before it receives the attempt; another worker then gets the
    /// attempt.
    #[test]
    fn a_worker_tells_its_own_end_and_not_that_of_its_successor() {
        let (sender, heard) = channel();
        let sink: Sink = Arc::new(move |id, worker, report| {
            if let Report::Ended = report {
                sender.send((id, worker)).unwrap();
            }
        });
        let id = |step: &str| AttemptId { run: RunId(Uuid::now_v7()), step: StepId::from(step), fence: Fence(1) };
        // The program neither reads nor exits.
        let start = |id: &AttemptId| Worker::start(Path::new("yes"), Vec::new(), None, PATIENCE, id, &sink).unwrap();
        let (served, wanted) = (id("a"), id("b"));
        let mut first = start(&served);
        first.shared.idle.store(true, Ordering::SeqCst);
        first.assign(&wanted, &ToAttempt::Interrupt).unwrap();
        first.signal(Signal::KILL);
        let mut second = start(&wanted);
        assert_eq!(heard.recv().unwrap(), (wanted.clone(), first.id()));
        assert_ne!(first.id(), second.id());
        first.reap(None);
        second.reap(None);
        assert_eq!(heard.recv().unwrap(), (wanted, second.id()));
    }
}
