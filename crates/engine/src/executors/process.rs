//! Processes of the operating system: identity that survives PID reuse, groups, and proof of death.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};

use stepwell_base::ids::RunId;
use stepwell_base::protocol::{ATTEMPT_MARK, WORKER_MARK};
use stepwell_run::event::ProcessIdentity;

use super::AttemptId;

/// Time to wait for killed processes to disappear. Only a process that hangs in the kernel takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Identity of a running process; `None` when it does not exist.
pub fn identify(pid: u32) -> Option<ProcessIdentity> {
    Some(ProcessIdentity { pid, start_time: platform::start_time(pid)?, boot_id: platform::boot_id()? })
}

/// Sends a signal to every process of a group. Call it before the group's leader is reaped.
pub(super) fn signal_group(leader: u32, signal: Signal) {
    if let Some(pid) = to_pid(leader) {
        // An empty group is the state that the caller wants.
        let _ = kill_process_group(pid, signal);
    }
}

/// Waits until a killed group has no living member. Returns the members that are left after [`PATIENCE`].
pub(super) fn await_group_end(leader: u32) -> Vec<u32> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let gone = to_pid(leader).is_none_or(|pid| test_kill_process_group(pid).is_err());
        let members = if gone { Vec::new() } else { platform::group_members(leader) };
        if members.is_empty() || Instant::now() > deadline {
            return members;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Kills processes that carry the attempt's mark until no more appear. Returns the survivors.
pub(super) fn end_marked(id: &AttemptId) -> Vec<u32> {
    let mark = format!("{ATTEMPT_MARK}={id}");
    end_all_with(|entry| entry == mark.as_bytes())
}

/// Does the work of `end_marked` for every attempt of a run.
pub fn end_attempts_of(run: RunId) -> Vec<u32> {
    let mark = format!("{ATTEMPT_MARK}={run}/");
    end_all_with(|entry| entry.starts_with(mark.as_bytes()))
}

/// Kills workers, including stopped ones, that an earlier engine of this state directory left behind. Returns the
/// survivors.
pub fn end_workers(state_dir: &Path) -> Vec<u32> {
    let mark = format!("{WORKER_MARK}={}", worker_mark(state_dir));
    end_all_with(|entry| entry == mark.as_bytes())
}

/// Environment mark of the workers of a state directory.
pub(super) fn worker_mark(state_dir: &Path) -> String {
    let path = state_dir.canonicalize().unwrap_or_else(|_| state_dir.to_owned());
    // Escaping keeps the marks of two paths different, whatever their bytes are.
    path.to_str().map_or_else(|| path.as_os_str().as_bytes().escape_ascii().to_string(), str::to_owned)
}

/// `is_mark` tests one entry of the environment.
fn end_all_with(is_mark: impl Fn(&[u8]) -> bool) -> Vec<u32> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let marked = platform::marked(&is_mark);
        if marked.is_empty() || Instant::now() > deadline {
            return marked;
        }
        for pid in marked.into_iter().filter_map(to_pid) {
            let _ = kill_process(pid, Signal::KILL);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Kills what an attempt of a dead engine left behind: the group, if its leader is provably the recorded process,
/// and on Linux every process with the attempt's mark. Returns the survivors.
pub fn end_leftovers(id: &AttemptId, process: Option<&ProcessIdentity>) -> Vec<u32> {
    let mut survivors = Vec::new();
    if let Some(process) = process
        && identify(process.pid).as_ref() == Some(process)
    {
        signal_group(process.pid, Signal::KILL);
        survivors = await_group_end(process.pid);
    }
    survivors.extend(end_marked(id));
    survivors
}

/// Returns all current descendants of `ancestor`, parents before children.
pub fn descendants(ancestor: u32) -> Vec<ProcessIdentity> {
    let parents = platform::parents();
    let mut family = vec![ancestor];
    let mut next = 0;
    while next < family.len() {
        let parent = family[next];
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    family.into_iter().skip(1).filter_map(identify).collect()
}

/// False for a zombie, which only waits to be reaped.
pub fn is_alive(process: &ProcessIdentity) -> bool {
    platform::is_running(process.pid) && identify(process.pid).as_ref() == Some(process)
}

fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

#[cfg(target_os = "linux")]
mod platform {
    use std::fs;

    /// Clock ticks between boot and the start of the process: field 22 of `/proc/PID/stat`, see proc(5).
    pub fn start_time(pid: u32) -> Option<u64> {
        fields(pid)?.get(19)?.parse().ok()
    }

    pub fn boot_id() -> Option<String> {
        Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
    }

    /// Living members of a process group, without zombies, which only wait to be reaped.
    pub fn group_members(leader: u32) -> Vec<u32> {
        let leader = leader.to_string();
        let member =
            |pid: &u32| fields(*pid).is_some_and(|f| f.get(2) == Some(&leader) && !matches!(f[0].as_str(), "Z" | "X"));
        processes().filter(member).collect()
    }

    /// Every process id with that of its parent.
    pub fn parents() -> Vec<(u32, u32)> {
        processes().filter_map(|pid| Some((pid, fields(pid)?.get(1)?.parse().ok()?))).collect()
    }

    pub fn is_running(pid: u32) -> bool {
        fields(pid).is_some_and(|fields| !matches!(fields[0].as_str(), "Z" | "X"))
    }

    /// Finds running processes that have such an entry in their initial environment. Processes of other users are
    /// unreadable.
    pub fn marked(is_mark: impl Fn(&[u8]) -> bool) -> Vec<u32> {
        let has_mark = |pid: &u32| {
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environment| environment.split(|b| *b == 0).any(&is_mark))
        };
        processes().filter(|pid| *pid != std::process::id()).filter(has_mark).collect()
    }

    fn processes() -> impl Iterator<Item = u32> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
    }

    /// Fields of `/proc/PID/stat` after the name, which may contain spaces and brackets. Field 0 is the state.
    fn fields(pid: u32) -> Option<Vec<String>> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, rest) = stat.rsplit_once(')')?;
        Some(rest.split_whitespace().map(str::to_owned).collect())
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use std::process::Command;

    /// Digest of the start time: tells apart two processes that have used the same id.
    pub fn start_time(pid: u32) -> Option<u64> {
        let text = output("ps", &["-p", &pid.to_string(), "-o", "lstart="])?;
        let digest = blake3::hash(text.trim().as_bytes());
        let bytes = digest.as_bytes().first_chunk::<8>()?;
        Some(u64::from_le_bytes(*bytes))
    }

    pub fn boot_id() -> Option<String> {
        Some(output("sysctl", &["-n", "kern.bootsessionuuid"])?.trim().to_owned())
    }

    pub fn group_members(leader: u32) -> Vec<u32> {
        let text = output("ps", &["-axo", "pid=,pgid=,stat="]).unwrap_or_default();
        let member = |line: &str| {
            let mut words = line.split_whitespace();
            let pid = words.next()?.parse().ok()?;
            let alive = words.next()? == leader.to_string() && !words.next()?.starts_with('Z');
            alive.then_some(pid)
        };
        text.lines().filter_map(member).collect()
    }

    pub fn parents() -> Vec<(u32, u32)> {
        let text = output("ps", &["-axo", "pid=,ppid="]).unwrap_or_default();
        let pair = |line: &str| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        };
        text.lines().filter_map(pair).collect()
    }

    pub fn is_running(pid: u32) -> bool {
        output("ps", &["-p", &pid.to_string(), "-o", "stat="]).is_some_and(|stat| !stat.trim().starts_with('Z'))
    }

    /// This platform does not show the environments of other processes.
    pub fn marked(_is_mark: impl Fn(&[u8]) -> bool) -> Vec<u32> {
        Vec::new()
    }

    fn output(program: &str, arguments: &[&str]) -> Option<String> {
        let output = Command::new(program).args(arguments).output().ok()?;
        String::from_utf8(output.stdout).ok().filter(|text| !text.trim().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    use uuid::Uuid;

    use super::*;
    use stepwell_base::ids::{Fence, RunId, StepId};

    fn sleeper(mark: &str) -> Child {
        Command::new("sh").args(["-c", "sleep 60 & sleep 60"]).env(ATTEMPT_MARK, mark).process_group(0).spawn().unwrap()
    }

    fn id() -> AttemptId {
        AttemptId { run: RunId(Uuid::now_v7()), step: StepId::from("a"), fence: Fence(1) }
    }

    #[test]
    fn a_recorded_process_is_ended_with_its_whole_group() {
        let (id, other) = (id(), id());
        let mut child = sleeper(&other.to_string());
        let process = identify(child.id()).unwrap();
        while platform::group_members(child.id()).len() < 3 {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(end_leftovers(&id, Some(&process)).is_empty());
        assert!(platform::group_members(child.id()).is_empty());
        child.wait().unwrap();
    }

    #[test]
    fn descendants_are_found_and_their_death_is_seen() {
        let mut child =
            Command::new("sh").args(["-c", "sh -c 'sleep 60 & wait' & wait"]).process_group(0).spawn().unwrap();
        let inner = loop {
            let inner = descendants(child.id());
            if inner.len() >= 2 {
                break inner;
            }
            thread::sleep(Duration::from_millis(5));
        };
        let family = descendants(std::process::id());
        assert!(inner.iter().all(|process| family.contains(process) && is_alive(process)));
        signal_group(child.id(), Signal::KILL);
        child.wait().unwrap();
        await_group_end(child.id());
        assert!(!inner.iter().any(is_alive));
    }

    #[test]
    fn a_process_with_a_reused_id_is_left_alone() {
        let mut child = sleeper(&id().to_string());
        let mut process = identify(child.id()).unwrap();
        process.start_time += 1;
        assert!(end_leftovers(&id(), Some(&process)).is_empty());
        process.start_time -= 1;
        process.boot_id = "another boot".to_owned();
        assert!(end_leftovers(&id(), Some(&process)).is_empty());
        assert!(child.try_wait().unwrap().is_none(), "a stranger was killed");
        child.kill().unwrap();
        signal_group(child.id(), Signal::KILL);
        child.wait().unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_unrecorded_process_is_found_by_its_mark() {
        let id = id();
        let mut child = sleeper(&id.to_string());
        // At the moment its start is reported, a program has no environment yet.
        while platform::group_members(child.id()).len() < 3 {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(end_leftovers(&id, None).is_empty());
        assert!(await_group_end(child.id()).is_empty());
        child.wait().unwrap();
    }
}
