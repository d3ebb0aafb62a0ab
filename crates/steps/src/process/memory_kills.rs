//! Detects kills by the kernel for lack of memory. Works on Linux; elsewhere the counts are unknown.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Number of such kills up to some moment, in this process's control group and on the machine. The machine's count also
/// covers kills in a group that the step has created.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct MemoryKills {
    in_group: Option<u64>,
    on_machine: Option<u64>,
}

impl MemoryKills {
    /// Reads the counts; a field is `None` if the kernel does not report it.
    pub fn count() -> MemoryKills {
        let counted = MemoryKills {
            in_group: group_files().iter().find_map(|path| value(&fs::read_to_string(path).ok()?)),
            on_machine: fs::read_to_string("/proc/vmstat").ok().and_then(|text| value(&text)),
        };
        #[cfg(test)]
        let counted = pretend::add(counted);
        counted
    }

    /// True if a kill has happened since. Together with a SIGKILL that none of our processes sent, it counts as the
    /// cause.
    pub fn has_grown(&self) -> bool {
        self.is_exceeded_by(&MemoryKills::count())
    }

    fn is_exceeded_by(&self, later: &MemoryKills) -> bool {
        let grown = |before: Option<u64>, after: Option<u64>| before.zip(after).is_some_and(|(b, a)| a > b);
        grown(self.in_group, later.in_group) || grown(self.on_machine, later.on_machine)
    }
}

/// Parses the line `oom_kill N`, which all of these files have.
fn value(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// Files of control groups version 2 and version 1. A container sees its own group at the root.
fn group_files() -> Vec<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.events"),
            names if names.split(',').any(|name| name == "memory") => ("/sys/fs/cgroup/memory", "memory.oom_control"),
            _ => continue,
        };
        files.push(PathBuf::from(root).join(path.trim_start_matches('/')).join(file));
        files.push(PathBuf::from(root).join(file));
    }
    files
}

/// Kills that have not happened.
#[cfg(test)]
pub mod pretend {
    use std::cell::Cell;

    use super::MemoryKills;

    thread_local! {
        static KILLS: Cell<u64> = const { Cell::new(0) };
    }

    /// Pretends another kill, to this thread only.
    pub fn kill() {
        KILLS.set(KILLS.get() + 1);
    }

    pub(super) fn add(counted: MemoryKills) -> MemoryKills {
        MemoryKills { on_machine: Some(counted.on_machine.unwrap_or(0) + KILLS.get()), ..counted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_in_every_kind_of_file() {
        assert_eq!(value("low 0\noom 3\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(value("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), Some(7));
        assert_eq!(value("oom_kill_disable 0\nunder_oom 0\n"), None, "kernels before 4.13");
    }

    #[test]
    fn either_count_may_grow_and_a_missing_one_says_nothing() {
        let before = MemoryKills { in_group: None, on_machine: Some(1) };
        assert!(!before.is_exceeded_by(&MemoryKills { in_group: Some(5), on_machine: Some(1) }));
        assert!(before.is_exceeded_by(&MemoryKills { in_group: None, on_machine: Some(2) }));
        let known = MemoryKills { in_group: Some(1), on_machine: None };
        assert!(known.is_exceeded_by(&MemoryKills { in_group: Some(2), on_machine: None }));
    }
}
