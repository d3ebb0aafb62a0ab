//! Starts the program, supervises it, and explains its end.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
#[cfg(target_os = "linux")]
use rustix::process::{PidfdFlags, pidfd_open};

use crate::{MemoryKills, StepContext, StepError};
use stepwell_artifact::{HEADROOM_BYTES, free_bytes};
use stepwell_base::failure::{Failure, FailureKind, OUT_OF_MEMORY_HINT, ProgramExit};
use stepwell_base::faults::around;

use super::checkpoint::CheckpointDir;
use super::log::last_lines;
use super::orphans;
use super::redact::Redactor;
use super::reports::{MetricsFile, ProgressFile};
use super::secrets::RedactedLog;
use super::spawn;
pub(super) use super::spawn::HAS_OWN_GROUP;
use super::start_failure::Start;

/// Maximum time between two checks of the program and its checkpoint marker.
const POLL: Duration = Duration::from_millis(100);
/// Time before the first check; short, so that the end of a short program is noticed soon.
const FIRST_POLL: Duration = Duration::from_millis(2);
/// Time for a program to end after SIGTERM; shorter than the engine's own limit.
const GRACE: Duration = Duration::from_secs(8);
/// Time for killed processes to disappear before the engine takes over.
const LAST_WORDS: Duration = Duration::from_millis(200);
const LOG_LINES: usize = 10;

/// A program that runs, or has exited but was not reaped.
pub(super) struct Program {
    child: Child,
    watch: Watch,
    /// Set if the output must be redacted.
    log: Option<RedactedLog>,
}

/// Starts the program with empty standard input; its output goes to the attempt's log, redacted.
///
/// # Errors
/// A fatal failure if the program does not exist or can never start.
pub(super) fn start(start: &Start<'_>, redactor: &Redactor, context: &mut StepContext<'_>) -> Result<Program, Failure> {
    let program = start.find()?;
    let path = context.request.log_path();
    let no_log = |error| Failure::io(format_args!("cannot write the log `{}`", path.display()), &error);
    let log = OpenOptions::new().create(true).append(true).open(&path).map_err(no_log)?;
    let (log, output) = if redactor.hides_nothing() {
        (None, OwnedFd::from(log))
    } else {
        let (log, output) = RedactedLog::start(redactor.clone(), log).map_err(no_log)?;
        (Some(log), OwnedFd::from(output))
    };
    let started = spawn::start(start.command_line, start.variables, start.work, output);
    let child = around!("command.spawn", started).map_err(|error| start.explain(&error, &program))?;
    if HAS_OWN_GROUP {
        context.reporter.group(child.id());
    }
    let watch = Watch::of(&child);
    Ok(Program { child, watch, log })
}

/// Files that a program writes for Stepwell while it runs.
pub(super) struct Reports {
    pub progress: ProgressFile,
    pub metrics: MetricsFile,
    pub checkpoints: CheckpointDir,
}

impl Reports {
    fn report(&mut self, context: &mut StepContext<'_>) -> Result<(), StepError> {
        self.progress.report(context.reporter);
        if self.checkpoints.is_announced() {
            // Metrics that were written before a checkpoint are committed no later than the checkpoint.
            self.metrics.report_all(context.reporter)?;
            return self.checkpoints.commit_announced(context);
        }
        Ok(self.metrics.report(context.reporter)?)
    }

    /// Reports what is left once the program has ended. It may have announced a checkpoint just before. Returns the
    /// refusal of its metrics, which matters only if nothing else went wrong.
    fn finish(&mut self, context: &mut StepContext<'_>) -> Result<Result<(), Failure>, StepError> {
        let metrics = self.metrics.finish(context.reporter);
        self.checkpoints.commit_announced(context)?;
        Ok(metrics)
    }
}

/// Waits for the program, commits its checkpoints meanwhile, and ends all processes that it leaves.
///
/// # Errors
/// `Interrupted` after the engine asked to stop; otherwise a failure that quotes the end of the log.
pub(super) fn supervise(
    mut program: Program,
    reports: &mut Reports,
    context: &mut StepContext<'_>,
) -> Result<(), StepError> {
    let kills = MemoryKills::count();
    let result = watch(&mut program, reports, context);
    if result.is_err() {
        program.terminate();
        program.stop(Duration::ZERO);
    }
    result?;
    let status = program.reap()?;
    let metrics = reports.finish(context)?;
    if status.success() { Ok(metrics?) } else { Err(explain(status, kills, context).into()) }
}

fn watch(program: &mut Program, reports: &mut Reports, context: &mut StepContext<'_>) -> Result<(), StepError> {
    let mut pause = FIRST_POLL;
    loop {
        if program.has_exited_within(pause) {
            return Ok(());
        }
        reports.report(context)?;
        if context.reporter.interrupted() {
            stop(program, reports, context);
            let _ = reports.finish(context)?;
            return Err(StepError::Interrupted);
        }
        if pause == POLL {
            orphans::reap(program.child.id());
        }
        pause = (pause * 2).min(POLL);
    }
}

/// Asks the program to stop, and commits what it saves meanwhile: it may wait for that before it exits.
fn stop(program: &mut Program, reports: &mut Reports, context: &mut StepContext<'_>) {
    let deadline = Instant::now() + GRACE;
    program.terminate();
    while Instant::now() < deadline && !program.has_exited_within(POLL) {
        // A refusal is reported once the program has ended.
        if reports.report(context).is_err() {
            break;
        }
    }
    program.stop(deadline.saturating_duration_since(Instant::now()));
}

impl Program {
    /// Waits up to `pause` for the exit; a signal ends the wait early. Does not reap, so the process id stays reserved.
    fn has_exited_within(&mut self, pause: Duration) -> bool {
        self.watch.wait(pause);
        let Some(pid) = to_pid(self.child.id()) else { return true };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        !matches!(waitid(WaitId::Pid(pid), options), Ok(None) | Err(rustix::io::Errno::INTR))
    }

    /// Ends the rest of the group while its id is still reserved, reaps the program, ends processes that have left the
    /// group, and waits until they are proved dead.
    fn reap(&mut self) -> Result<ExitStatus, Failure> {
        let leader = self.child.id();
        spawn::end_group(leader);
        let status = around!("command.reap", self.child.wait());
        let status = status.map_err(|error| Failure::io("cannot watch the program", &error))?;
        let deadline = Instant::now() + LAST_WORDS;
        // The engine ends processes that hang in the kernel.
        orphans::end(deadline);
        while HAS_OWN_GROUP && !spawn::group_is_gone(leader) && Instant::now() < deadline {
            thread::sleep(FIRST_POLL);
        }
        if let Some(log) = &self.log {
            log.finish();
        }
        Ok(status)
    }

    fn terminate(&mut self) {
        if let Some(pid) = to_pid(self.child.id())
            && !self.has_exited_within(Duration::ZERO)
        {
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Waits up to `patience` for a program that was told to stop, then sends SIGKILL. The engine ends the rest of the
    /// group.
    fn stop(&mut self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while !self.has_exited_within(FIRST_POLL) {
            if Instant::now() >= deadline {
                let _ = self.child.kill();
                break;
            }
        }
        let _ = self.reap();
    }
}

fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// Sleeps until a program exits or a time limit passes.
struct Watch {
    #[cfg(target_os = "linux")]
    exit: Option<OwnedFd>,
}

impl Watch {
    #[cfg(target_os = "linux")]
    fn of(child: &Child) -> Watch {
        let open = |pid| pidfd_open(pid, PidfdFlags::empty()).ok();
        Watch { exit: to_pid(child.id()).and_then(open) }
    }

    #[cfg(not(target_os = "linux"))]
    fn of(_child: &Child) -> Watch {
        Watch {}
    }

    fn wait(&self, pause: Duration) {
        #[cfg(target_os = "linux")]
        if let (Some(exit), Ok(timeout)) = (&self.exit, Timespec::try_from(pause)) {
            // A signal is meant to end the wait early.
            let _ = poll(&mut [PollFd::new(exit, PollFlags::IN)], Some(&timeout));
            return;
        }
        thread::sleep(pause);
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
    let failure = Failure::retryable(message);
    let failure = match log.is_empty() {
        true => failure,
        false => failure.with_hint(format!("what it printed is in `{}`", path.display())),
    };
    let failure = match (status.signal(), status.code()) {
        (Some(signal), _) => failure.with_exit(ProgramExit::Signal(signal)),
        (None, Some(code)) => failure.with_exit(ProgramExit::Code(code)),
        (None, None) => failure,
    };
    // A program has no reliable way to report a full disk, so ask the disk.
    if free_bytes(context.scratch()).is_ok_and(|free| free < HEADROOM_BYTES) {
        return Failure { kind: FailureKind::NoSpace, ..failure };
    }
    failure
}
