//! Ends processes that a program leaves behind. On Linux they become children of the worker, even after `setsid`, a
//! double fork or a cleared environment.

use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// Pause between two checks of processes that are being killed.
const PAUSE: Duration = Duration::from_millis(1);

/// Makes this process the parent of all orphans of its programs. Only a worker may call this: it has no other children.
pub fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    {
        let adopts = rustix::process::set_child_subreaper(Some(rustix::process::getpid())).is_ok();
        platform::ADOPTS.store(adopts, std::sync::atomic::Ordering::Relaxed);
    }
}

/// Reaps ended orphans, so that a long-running program does not fill the process table. Leaves the program itself to
/// its `Child`.
pub(super) fn reap(program: u32) {
    for pid in platform::children().into_iter().filter(|pid| *pid != program).filter_map(to_pid) {
        // A running orphan stays.
        let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
}

/// Kills and reaps all orphans of a program that was reaped; false if some remain at the deadline.
pub(super) fn end(deadline: Instant) -> bool {
    loop {
        match (platform::adopts(), waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG)) {
            (false, _) | (true, Err(Errno::CHILD)) => return true,
            (true, Ok(Some(_))) => continue,
            (true, Ok(None) | Err(_)) => {}
        }
        if Instant::now() >= deadline {
            return false;
        }
        // The children of a killed process become ours.
        kill();
        thread::sleep(PAUSE);
    }
}

/// Kills the children of this worker: its program and the program's orphans.
pub(super) fn kill() {
    for pid in platform::children().into_iter().filter_map(to_pid) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// True while an orphan remains.
pub(super) fn are_left() -> bool {
    let look = || waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT);
    platform::adopts() && !matches!(look(), Err(Errno::CHILD))
}

fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

#[cfg(target_os = "linux")]
mod platform {
    use std::fs;
    use std::sync::atomic::{AtomicBool, Ordering};

    pub(super) static ADOPTS: AtomicBool = AtomicBool::new(false);

    pub(super) fn adopts() -> bool {
        ADOPTS.load(Ordering::Relaxed)
    }

    /// Children of all threads of this process; empty if it adopts none.
    pub(super) fn children() -> Vec<u32> {
        if !adopts() {
            return Vec::new();
        }
        let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let lists: Option<Vec<String>> =
            threads.map(|thread| fs::read_to_string(thread.path().join("children")).ok()).collect();
        match lists {
            Some(lists) => lists.iter().flat_map(|list| list.split_whitespace()).flat_map(str::parse).collect(),
            // The kernel lacks these lists, or a thread has ended meanwhile.
            None => children_by_parent(),
        }
    }

    pub(super) fn children_by_parent() -> Vec<u32> {
        let own = std::process::id();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| parent(*pid) == Some(own)).collect()
    }

    /// Parses the second field after the name; the name may contain spaces and brackets.
    pub(super) fn parent(pid: u32) -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    pub(super) fn adopts() -> bool {
        false
    }

    pub(super) fn children() -> Vec<u32> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    #[test]
    fn a_child_is_found_by_its_parent() {
        use std::process::{Command, Stdio};

        use super::platform::{children_by_parent, parent};

        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        assert!(children_by_parent().contains(&child.id()));
        assert_eq!(parent(child.id()), Some(std::process::id()));
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
