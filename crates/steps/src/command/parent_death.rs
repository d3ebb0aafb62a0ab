//! Ties a program to its worker in the kernel (Linux).

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};

/// Lets the kernel kill the program when the thread that starts it ends; the main thread ends with the worker.
pub(super) fn kill_with_parent(command: &mut Command) {
    let parent = getpid();
    // SAFETY: between fork and exec the closure makes only two system calls, which neither allocate nor lock.
    unsafe { command.pre_exec(move || tie_to(parent)) };
}

fn tie_to(parent: Pid) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before the request for the signal.
    if getppid() == Some(parent) { Ok(()) } else { Err(io::Error::from(io::ErrorKind::BrokenPipe)) }
}
