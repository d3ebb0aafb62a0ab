//! Starts a user's program so that it cannot outlive its worker (Linux), and ends its remaining processes.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
#[cfg(target_os = "linux")]
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process_group};

use stepwell_base::protocol::WORKER_MARK;

use super::orphans;

/// True if a program has its own process group. Without a parent-death signal and environment markers it shares its
/// worker's group, because after a crash only that group is known.
pub(super) const HAS_OWN_GROUP: bool = cfg!(target_os = "linux");

/// Leader of the running program's process group; 0 if no program runs.
static GROUP: AtomicU32 = AtomicU32::new(0);

/// Returns a path that starts this exact binary, even if its file has been replaced: an engine and its workers must
/// come from one build.
///
/// # Errors
/// When the path is unknown.
pub fn own_binary() -> std::io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok(PathBuf::from("/proc/self/exe")) } else { std::env::current_exe() }
}

/// Starts a program in `directory` and appends its output to `output`.
///
/// # Errors
/// When the program or the folder does not exist, or the system has no free process.
pub(super) fn start(
    command_line: &[OsString],
    variables: &[(String, OsString)],
    directory: &Path,
    output: OwnedFd,
) -> std::io::Result<Child> {
    let (program, arguments) =
        command_line.split_first().ok_or_else(|| std::io::Error::other("there is no program"))?;
    let errors = output.try_clone()?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_remove(WORKER_MARK)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .current_dir(directory);
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    #[cfg(target_os = "linux")]
    {
        command.process_group(0);
        super::parent_death::kill_with_parent(&mut command);
    }
    let child = command.spawn()?;
    if HAS_OWN_GROUP {
        GROUP.store(child.id(), Ordering::SeqCst);
    }
    Ok(child)
}

/// Kills the rest of the process group of a program that has exited but was not reaped.
pub(super) fn end_group(leader: u32) {
    if let (true, Some(pid)) = (HAS_OWN_GROUP, to_pid(leader)) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

/// True if no process of a reaped program's group remains.
pub(super) fn group_is_gone(leader: u32) -> bool {
    let gone = to_pid(leader).is_none_or(|pid| rustix::process::test_kill_process_group(pid).is_err());
    if gone {
        GROUP.store(0, Ordering::SeqCst);
    }
    gone
}

/// True until every process of a program is proved dead.
pub fn has_program() -> bool {
    GROUP.load(Ordering::SeqCst) != 0 || orphans::are_left()
}

/// Kills this worker's program, its whole group, and processes that have left the group.
pub fn kill_program() {
    orphans::kill();
    if let Some(pid) = Some(GROUP.load(Ordering::SeqCst)).filter(|leader| *leader != 0).and_then(to_pid) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}
