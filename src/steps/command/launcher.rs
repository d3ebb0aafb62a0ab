//! Starts a user's program so that it cannot outlive its worker: a launcher, which is this binary, asks the
//! kernel for a signal at the death of its parent, and then becomes the program (Linux). To start this
//! binary takes longer than to start most programs, so the launcher of the next program is started while
//! the last one runs.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::core::protocol::WORKER_MARK;

use super::job::Job;

/// Exit code of a program that could not be started, as shells have it.
const CANNOT_RUN: u8 = 127;

/// Whether a program has a process group of its own. Without a parent-death signal and marks it has to
/// share that of its worker, which is all that is known after a crash.
pub(super) const HAS_OWN_GROUP: bool = cfg!(target_os = "linux");

/// Where the launcher of the next program comes from.
static READY: Mutex<Option<Receiver<std::io::Result<Child>>>> = Mutex::new(None);
/// Leader of the process group of the program that runs; 0 when there is none.
static GROUP: AtomicU32 = AtomicU32::new(0);

/// A path that starts this very binary, also when its file was replaced since: an engine and its workers
/// must be of one build.
///
/// # Errors
/// When the path is unknown.
pub fn own_binary() -> std::io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok(PathBuf::from("/proc/self/exe")) } else { std::env::current_exe() }
}

/// A process that becomes a program once it is told which.
fn spawn() -> std::io::Result<Child> {
    let mut command = Command::new(own_binary()?);
    command.arg0("stepwell").args(["worker", "launch"]).arg(std::process::id().to_string());
    command.stdin(Stdio::piped());
    if HAS_OWN_GROUP {
        command.process_group(0);
    }
    command.spawn()
}

/// The next launcher, and the start of the one after it, on a thread that lives as long as the worker: the
/// kernel takes the end of that thread for the death of the parent.
fn next() -> std::io::Result<Child> {
    let mut ready = READY.lock().unwrap_or_else(PoisonError::into_inner);
    let launchers = ready.get_or_insert_with(|| {
        let (hand_over, launchers) = sync_channel(0);
        thread::spawn(move || while hand_over.send(spawn()).is_ok() {});
        launchers
    });
    // The thread ends with this process only.
    launchers.recv().unwrap_or_else(|_| spawn())
}

/// Runs the job; `announce` hears of its process before it can do anything.
///
/// # Errors
/// When no process can be started.
pub(super) fn start(job: &Job, mut announce: impl FnMut(u32)) -> std::io::Result<Child> {
    let encoded = job.encode()?;
    let mut tell = |mut launcher: Child| {
        if HAS_OWN_GROUP {
            GROUP.store(launcher.id(), Ordering::SeqCst);
            announce(launcher.id());
        }
        let told = launcher.stdin.take().map_or(Ok(()), |mut pipe| pipe.write_all(&encoded));
        told.map(|()| launcher)
    };
    // One that was waiting may have been killed meanwhile.
    tell(next()?).or_else(|_| tell(next()?))
}

/// Ends what is left of the process group of a program that has exited but was not reaped.
pub(super) fn end_group(leader: u32) {
    if let (true, Some(pid)) = (HAS_OWN_GROUP, to_pid(leader)) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

/// Whether nothing of the group of a reaped program is left.
pub(super) fn group_is_gone(leader: u32) -> bool {
    let gone = to_pid(leader).is_none_or(|pid| rustix::process::test_kill_process_group(pid).is_err());
    if gone {
        GROUP.store(0, Ordering::SeqCst);
    }
    gone
}

/// Whether a process group of a program was not proved dead.
pub fn has_program() -> bool {
    GROUP.load(Ordering::SeqCst) != 0
}

/// Kills the program of this worker with its whole group.
pub fn kill_program() {
    if let Some(pid) = Some(GROUP.load(Ordering::SeqCst)).filter(|leader| *leader != 0).and_then(to_pid) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// `stepwell worker launch PARENT`: waits for a job on standard input and becomes its program; returns when
/// that fails, or when no job comes.
pub fn launch(parent: u32) -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
        eprintln!("stepwell: cannot tie the program to its worker: {error}");
        return ExitCode::from(CANNOT_RUN);
    }
    // The parent may have died before the signal was asked for.
    let alive = rustix::process::getppid().is_some_and(|pid| u32::try_from(pid.as_raw_nonzero().get()) == Ok(parent));
    let mut bytes = Vec::new();
    if !alive || std::io::stdin().read_to_end(&mut bytes).is_err() {
        return ExitCode::FAILURE;
    }
    let Some(job) = Job::decode(&bytes) else { return ExitCode::FAILURE };
    let name = job.command_line.first().cloned().unwrap_or_default();
    let error = become_program(job);
    eprintln!("stepwell: cannot run `{}`: {error}", name.display());
    ExitCode::from(CANNOT_RUN)
}

fn become_program(job: Job) -> std::io::Error {
    let log = |path: &PathBuf| OpenOptions::new().create(true).append(true).open(path);
    let (output, errors) = match log(&job.log).and_then(|file| Ok((file.try_clone()?, file))) {
        Ok(files) => files,
        Err(error) => return error,
    };
    let (program, arguments): (OsString, _) = match job.command_line.split_first() {
        Some((program, arguments)) => (program.clone(), arguments),
        None => return std::io::Error::other("there is no program"),
    };
    let mut command = Command::new(program);
    command.args(arguments).env_remove(WORKER_MARK).envs(job.variables).current_dir(job.directory);
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    command.exec()
}
