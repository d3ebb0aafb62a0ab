//! Numbers of processes from Linux's `/proc`. Elsewhere they are unknown.

use std::fs;
use std::sync::OnceLock;

/// Entries of the auxiliary vector, `getauxval(3)`.
const AT_PAGESZ: usize = 6;
const AT_CLKTCK: usize = 17;

/// Most processes whose numbers are added up.
const MOST_PROCESSES: usize = 10_000;

/// Use of the machine by a process and all its descendants.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct TreeUsage {
    /// Processor time, also of descendants that have ended.
    pub cpu_seconds: f64,
    /// Resident memory; shared pages count in each process.
    pub memory_bytes: u64,
}

/// Processor time of this process and of its children that it has waited for. Cheaper than [`tree_usage`].
pub fn own_cpu_seconds() -> Option<f64> {
    let stat = Stat::of(&fs::read_to_string("/proc/self/stat").ok()?)?;
    Some(stat.ticks as f64 / ticks_per_second()?)
}

/// Adds up this process and its descendants.
pub fn tree_usage() -> Option<TreeUsage> {
    let (page, ticks) = (page_bytes()?, ticks_per_second()?);
    let mut found: Option<TreeUsage> = None;
    let mut waiting = vec![std::process::id()];
    let mut seen = 0;
    while let Some(process) = waiting.pop() {
        seen += 1;
        if seen > MOST_PROCESSES {
            break;
        }
        // A process may end at any moment.
        let Some(stat) = fs::read_to_string(format!("/proc/{process}/stat")).ok().and_then(|text| Stat::of(&text))
        else {
            continue;
        };
        let usage = found.get_or_insert_default();
        usage.cpu_seconds += stat.ticks as f64 / ticks;
        usage.memory_bytes += stat.pages * page;
        for thread in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            waiting.extend(children.split_ascii_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    found
}

/// The fields of `/proc/PID/stat` that count.
#[derive(PartialEq, Eq, Debug)]
struct Stat {
    /// Of the process, and of its children that it has waited for.
    ticks: u64,
    pages: u64,
}

impl Stat {
    /// The name of a process may hold spaces and parentheses: the fields start after the last one.
    fn of(text: &str) -> Option<Stat> {
        let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        let ticks = [14, 15, 16, 17].into_iter().map(number).sum::<Option<u64>>()?;
        Some(Stat { ticks, pages: number(24)? })
    }
}

/// Resident memory of this process.
#[cfg(any(test, feature = "train"))]
pub fn resident_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * page_bytes()?)
}

/// Size of a page of memory.
pub fn page_bytes() -> Option<u64> {
    static SIZE: OnceLock<Option<u64>> = OnceLock::new();
    *SIZE.get_or_init(|| auxiliary(AT_PAGESZ))
}

/// Unit of processor times.
fn ticks_per_second() -> Option<f64> {
    static TICKS: OnceLock<Option<u64>> = OnceLock::new();
    TICKS.get_or_init(|| auxiliary(AT_CLKTCK)).map(|ticks| ticks as f64)
}

/// An entry of the vector that the kernel gives every process at its start.
fn auxiliary(key: usize) -> Option<u64> {
    const WORD: usize = size_of::<usize>();
    let vector = fs::read("/proc/self/auxv").ok()?;
    let word = |bytes: &[u8]| Some(usize::from_ne_bytes(bytes.try_into().ok()?));
    let mut entries = vector.chunks_exact(2 * WORD);
    let entry = entries.find(|entry| word(&entry[..WORD]) == Some(key))?;
    word(&entry[WORD..]).map(|value| value as u64)
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_some_memory() {
        let bytes = resident_bytes().unwrap();
        assert!(bytes > 1 << 20 && bytes < 1 << 40, "{bytes}");
        assert!(page_bytes().unwrap().is_power_of_two());
    }

    #[test]
    fn fields_are_found_after_any_name() {
        let fields: Vec<String> = (3..=52).map(|field: u32| field.to_string()).collect();
        let text = format!("7 (a) (b) c) {}", fields.join(" "));
        assert_eq!(Stat::of(&text), Some(Stat { ticks: 14 + 15 + 16 + 17, pages: 24 }));
        assert_eq!(Stat::of("7 (x) S 1"), None);
        assert_eq!(Stat::of(""), None);
    }

    /// A child that has ended still counts with its time, one that runs counts with its memory.
    #[test]
    fn descendants_count() {
        let before = tree_usage().unwrap();
        let burn = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        assert!(std::process::Command::new("sh").args(["-c", burn]).status().unwrap().success());
        let mut child = std::process::Command::new("sh").args(["-c", "sleep 5 & wait"]).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(100));
        let after = tree_usage().unwrap();
        assert!(own_cpu_seconds().unwrap() > 0.02);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(after.cpu_seconds > before.cpu_seconds + 0.02, "{before:?} {after:?}");
        assert!(after.memory_bytes > 0);
    }
}
