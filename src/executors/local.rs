//! Attempts as child processes: `stepwell worker exec` in a process group of its own. The protocol runs
//! over a socket that is the child's standard input, so nothing that a library prints can disturb it;
//! standard output and standard error go to the attempt's log.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};

use crate::core::event::ProcessIdentity;
use crate::core::failure::Failure;
use crate::core::pools::environment;
use crate::core::protocol::ToAttempt;
use crate::faults::around;
use crate::worker::HEARTBEAT_VARIABLE;

use super::executor::{Attempt, AttemptId, Executor, Exit, Launch, Report, Sink, Sweep};
use super::log_keeper::LogKeeper;
use super::process::{MARK, await_group_end, end_marked, identify, signal_group};

/// A worker that does not read for this long cannot be told anything; its lease will end it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// Starts attempts as children of this process.
pub struct Local {
    program: PathBuf,
    sink: Sink,
    logs: Arc<LogKeeper>,
}

impl Local {
    /// `program` is the Stepwell binary that understands `worker exec`, `log_limit` the most bytes that an
    /// attempt's log keeps; 0: any number.
    pub fn new(program: PathBuf, sink: Sink, log_limit: u64) -> Local {
        Local { program, sink, logs: Arc::new(LogKeeper::new(log_limit)) }
    }
}

impl Executor for Local {
    fn start(&self, launch: Launch) -> Result<Box<dyn Attempt>, Failure> {
        let id = launch.id();
        let error =
            |what: &str, error: &std::io::Error| Failure::io(format_args!("cannot start the attempt: {what}"), error);
        around!("executor.scratch", fs::create_dir_all(&launch.request.scratch_dir))
            .map_err(|e| error("scratch directory", &e))?;
        let log = around!("executor.log", open_log(&launch.request.log_path())).map_err(|e| error("log file", &e))?;
        let second_log = log.try_clone().map_err(|e| error("log file", &e))?;
        let (ours, theirs) = UnixStream::pair().map_err(|e| error("socket", &e))?;
        let reader = ours.try_clone().map_err(|e| error("socket", &e))?;
        ours.set_write_timeout(Some(WRITE_TIMEOUT)).map_err(|e| error("socket", &e))?;
        let mut command = Command::new(&self.program);
        command
            .arg0("stepwell")
            .args(["worker", "exec"])
            .env(MARK, id.to_string())
            .env(HEARTBEAT_VARIABLE, (launch.heartbeat / 3).as_millis().max(1).to_string())
            .envs(environment(&launch.resources))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(log)
            .stderr(second_log)
            .process_group(0);
        let child =
            around!("executor.spawn", command.spawn()).map_err(|e| error(&self.program.display().to_string(), &e))?;
        let pid = child.id();
        let log_path = launch.request.log_path();
        let sink = self.sink.clone();
        let listener_id = id.clone();
        thread::Builder::new()
            .name(format!("attempt {id}"))
            .spawn(move || listen(reader, launch, pid, &listener_id, &sink))
            .map_err(|e| {
                signal_group(pid, Signal::KILL);
                error("thread", &e)
            })?;
        // Without a thread the step still goes on, its log unlimited.
        let _ = self.logs.watch(id.clone(), log_path);
        Ok(Box::new(LocalAttempt { id, process: identify(pid), socket: ours, child, logs: self.logs.clone() }))
    }
}

fn open_log(path: &std::path::Path) -> std::io::Result<File> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// Hands over the request, then forwards what the attempt says until it has ended.
fn listen(mut socket: UnixStream, launch: Launch, pid: u32, id: &AttemptId, sink: &Sink) {
    let request = ToAttempt::Start(Box::new(launch.request));
    if around!("executor.request", write_line(&mut socket, &request)).is_err() {
        hang_up(&socket);
    }
    for line in BufReader::new(socket).split(b'\n').map_while(Result::ok) {
        let report = match serde_json::from_slice(&line) {
            Ok(message) => Report::Message(message),
            Err(_) => Report::Garbled(String::from_utf8_lossy(&line).chars().take(200).collect()),
        };
        sink(id.clone(), report);
    }
    // The process id stays taken until `bury`, so that its group can be signalled safely.
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let wait = || waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        while matches!(wait(), Err(rustix::io::Errno::INTR)) {}
    }
    sink(id.clone(), Report::Ended);
}

fn write_line(socket: &mut UnixStream, message: &ToAttempt) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    socket.write_all(&line)
}

/// A line that lost a message is of no use any more: the worker ends itself when it is closed.
fn hang_up(socket: &UnixStream) {
    // Fails when the worker has closed it already.
    let _ = socket.shutdown(Shutdown::Both);
}

struct LocalAttempt {
    id: AttemptId,
    process: Option<ProcessIdentity>,
    socket: UnixStream,
    child: Child,
    logs: Arc<LogKeeper>,
}

impl Attempt for LocalAttempt {
    fn process(&self) -> Option<&ProcessIdentity> {
        self.process.as_ref()
    }

    fn send(&mut self, message: &ToAttempt) {
        if around!("executor.send", write_line(&mut self.socket, message)).is_err() {
            hang_up(&self.socket);
        }
    }

    fn terminate(&self) {
        signal_group(self.child.id(), Signal::TERM);
    }

    fn kill(&self) {
        signal_group(self.child.id(), Signal::KILL);
    }

    fn bury(&mut self, sweep: Sweep) -> Exit {
        self.kill();
        let status = around!("executor.reap", self.child.wait()).ok();
        let mut survivors = await_group_end(self.child.id());
        if sweep == Sweep::GroupAndMarked {
            survivors.extend(end_marked(&self.id));
        }
        if survivors.is_empty() {
            self.logs.finish(&self.id);
        }
        Exit { code: status.and_then(|s| s.code()), signal: status.and_then(|s| s.signal()), survivors }
    }
}
