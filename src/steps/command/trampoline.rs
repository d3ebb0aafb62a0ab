//! Starts a user's program so that it cannot outlive its worker: this binary first asks the kernel for a
//! signal at the death of its parent, and then becomes the program (Linux). Elsewhere the process group
//! alone ties them together.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Exit code of a program that could not be started, as shells have it.
const CANNOT_RUN: u8 = 127;

/// A path that starts this very binary, also when its file was replaced since: an engine and its workers
/// must be of one build.
///
/// # Errors
/// When the path is unknown.
pub fn own_binary() -> std::io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok(PathBuf::from("/proc/self/exe")) } else { std::env::current_exe() }
}

/// The command line that runs `program` under the death watch of this process.
///
/// # Errors
/// When the path of this binary is unknown.
pub(super) fn trampoline(program: &[OsString]) -> std::io::Result<Command> {
    let mut command = Command::new(own_binary()?);
    command.arg0("stepwell").args(["worker", "trampoline"]).arg(std::process::id().to_string()).arg("--").args(program);
    Ok(command)
}

/// `stepwell worker trampoline PARENT -- PROGRAM ARGUMENT...`: becomes the program, or returns when that fails.
pub fn run_as_child_of(parent: u32, program: &[OsString]) -> ExitCode {
    let Some((name, arguments)) = program.split_first() else { return ExitCode::from(CANNOT_RUN) };
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)) {
        eprintln!("stepwell: cannot tie the program to its worker: {error}");
        return ExitCode::from(CANNOT_RUN);
    }
    // The parent may have died before the signal was asked for.
    let alive = rustix::process::getppid().is_some_and(|pid| u32::try_from(pid.as_raw_nonzero().get()) == Ok(parent));
    if !alive {
        return ExitCode::FAILURE;
    }
    let error = Command::new(name).args(arguments).exec();
    eprintln!("stepwell: cannot run `{}`: {error}", name.display());
    ExitCode::from(CANNOT_RUN)
}
