//! Starts the program, watches over it, and explains how it ended.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::artifact::{HEADROOM_BYTES, free_bytes};
use crate::core::failure::{Failure, FailureKind, OUT_OF_MEMORY_HINT, ProgramExit};
use crate::faults::around;
use crate::steps::{MemoryKills, StepContext, StepError};

use super::checkpoint::CheckpointDir;
use super::log::last_lines;
use super::progress::ProgressFile;
use super::trampoline::trampoline;

/// How often the program and its checkpoint marker are looked at.
const POLL: Duration = Duration::from_millis(100);
/// Short programs are noticed sooner.
const FIRST_POLL: Duration = Duration::from_millis(2);
/// How long a program may take to end after SIGTERM; shorter than the engine's own patience.
const GRACE: Duration = Duration::from_secs(8);
const LOG_LINES: usize = 10;

/// Starts the program in `work` with nothing on its standard input; what it prints goes to the attempt's log.
///
/// # Errors
/// A fatal failure when there is no such program.
pub(super) fn start(
    command_line: &[OsString],
    work: &Path,
    variables: impl IntoIterator<Item = (String, OsString)>,
) -> Result<Child, Failure> {
    let variables: Vec<(String, OsString)> = variables.into_iter().collect();
    check_exists(&command_line[0], work, &variables)?;
    let failed =
        |error: std::io::Error| Failure::io(format_args!("cannot start `{}`", command_line[0].display()), &error);
    let mut command = trampoline(command_line).map_err(failed)?;
    command.envs(variables).current_dir(work).stdin(Stdio::null());
    around!("command.spawn", command.spawn()).map_err(failed)
}

fn check_exists(program: &OsString, work: &Path, variables: &[(String, OsString)]) -> Result<(), Failure> {
    let name = Path::new(program);
    let found = if name.components().count() > 1 {
        work.join(name).exists()
    } else {
        let own = variables.iter().rev().find(|(key, _)| key == "PATH").map(|(_, value)| value.clone());
        let path = own.or_else(|| std::env::var_os("PATH")).unwrap_or_default();
        std::env::split_paths(&path).any(|directory| work.join(directory).join(name).exists())
    };
    if found {
        return Ok(());
    }
    Err(Failure::fatal(format!("there is no program `{}`", name.display()))
        .with_hint(format!("`argv[0]` is looked up in PATH, or is a path relative to `{}`", work.display())))
}

/// Waits for the program, committing its checkpoints meanwhile.
///
/// # Errors
/// `Interrupted` after the engine asked to stop; else a failure that quotes the end of the log.
pub(super) fn supervise(
    mut child: Child,
    checkpoints: &CheckpointDir,
    mut progress: ProgressFile,
    context: &mut StepContext<'_>,
) -> Result<(), StepError> {
    let kills = MemoryKills::count();
    let result = watch(&mut child, checkpoints, &mut progress, context);
    if result.is_err() {
        stop(&mut child, Duration::ZERO);
    }
    let status = result?;
    // A checkpoint announced in the program's last moment counts.
    checkpoints.commit_announced(context)?;
    if status.success() { Ok(()) } else { Err(explain(status, kills, context).into()) }
}

fn watch(
    child: &mut Child,
    checkpoints: &CheckpointDir,
    progress: &mut ProgressFile,
    context: &mut StepContext<'_>,
) -> Result<ExitStatus, StepError> {
    let mut pause = FIRST_POLL;
    loop {
        let reaped = around!("command.reap", child.try_wait());
        if let Some(status) = reaped.map_err(|error| Failure::io("cannot watch the program", &error))? {
            return Ok(status);
        }
        checkpoints.commit_announced(context)?;
        progress.report(context.reporter);
        if context.reporter.interrupted() {
            stop(child, GRACE);
            checkpoints.commit_announced(context)?;
            return Err(StepError::Interrupted);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(POLL);
    }
}

/// SIGTERM, then SIGKILL once patience has run out. The engine ends whatever else is in the group.
fn stop(child: &mut Child, patience: Duration) {
    let deadline = Instant::now() + patience;
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw)
        && matches!(child.try_wait(), Ok(None))
    {
        let _ = kill_process(pid, Signal::TERM);
    }
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        thread::sleep(FIRST_POLL);
    }
}

fn explain(status: ExitStatus, kills: MemoryKills, context: &StepContext<'_>) -> Failure {
    // A shell reports the signal of its child as a code.
    let killed = status.signal() == Some(9) || status.code() == Some(137);
    let out_of_memory = killed && kills.has_grown();
    let how = match (status.signal(), status.code()) {
        _ if out_of_memory => "was killed for lack of memory".to_owned(),
        (Some(9), _) | (None, Some(137)) => "was killed by SIGKILL, possibly for lack of memory".to_owned(),
        (Some(signal), _) => format!("was killed by signal {signal}"),
        (None, Some(code)) => format!("exited with code {code}"),
        (None, None) => "failed".to_owned(),
    };
    let path = context.request.log_path();
    let log = last_lines(&path, LOG_LINES);
    let message = if log.is_empty() {
        format!("the command {how} and printed nothing")
    } else {
        format!("the command {how}; its last lines:\n{log}")
    };
    if out_of_memory {
        return Failure::new(FailureKind::OutOfMemory, message).with_hint(OUT_OF_MEMORY_HINT);
    }
    let failure = Failure::retryable(message).with_hint(format!("what it printed is in `{}`", path.display()));
    let failure = match (status.signal(), status.code()) {
        (Some(signal), _) => failure.with_exit(ProgramExit::Signal(signal)),
        (None, Some(code)) => failure.with_exit(ProgramExit::Code(code)),
        (None, None) => failure,
    };
    // A program cannot say why in a way that can be relied on, but the disk can.
    if free_bytes(context.scratch()).is_ok_and(|free| free < HEADROOM_BYTES) {
        return Failure { kind: FailureKind::NoSpace, ..failure };
    }
    failure
}
