//! Measures what the processes of an attempt use, every ten seconds.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use stepwell_artifact::free_bytes;
use stepwell_base::protocol::{USAGE_PERIOD, Usage};
use stepwell_steps::{TreeUsage, own_cpu_seconds, tree_usage};

/// Exists where NVIDIA's driver is loaded.
const NVIDIA: &str = "/proc/driver/nvidia/version";
/// Time for NVIDIA's program to answer.
const NVIDIA_LIMIT: Duration = Duration::from_secs(3);
const NVIDIA_POLL: Duration = Duration::from_millis(50);

/// The measurements of one attempt.
pub(super) struct Meter {
    started: Instant,
    /// Processor time of the attempts that the worker served before. None of their processes is left.
    cpu_before: f64,
    peak_bytes: u64,
    state_dir: PathBuf,
    /// Number of the last measurement.
    last: u64,
}

impl Meter {
    pub(super) fn start(state_dir: &Path) -> Meter {
        let cpu_before = own_cpu_seconds().unwrap_or(0.0);
        Meter { started: Instant::now(), cpu_before, peak_bytes: 0, state_dir: state_dir.to_owned(), last: 0 }
    }

    /// Time of the next measurement.
    pub(super) fn due(&self) -> Instant {
        self.started + USAGE_PERIOD * u32::try_from(self.last + 1).unwrap_or(u32::MAX)
    }

    /// Measures, if it is time. `None` for a measurement that a long attempt does not keep, and where processes cannot
    /// be measured. `gpus` is the answer of [`gpus`].
    pub(super) fn measure(&mut self, gpus: Option<(f64, u64)>) -> Option<Usage> {
        let number = self.started.elapsed().as_secs() / USAGE_PERIOD.as_secs();
        if number <= self.last {
            return None;
        }
        self.last = number;
        let TreeUsage { cpu_seconds, memory_bytes } = tree_usage()?;
        self.peak_bytes = self.peak_bytes.max(memory_bytes);
        let (gpu_ratio, gpu_bytes) = gpus.unzip();
        let usage = Usage {
            number,
            cpu_seconds: (cpu_seconds - self.cpu_before).max(0.0),
            memory_bytes,
            peak_bytes: self.peak_bytes,
            disk_free_bytes: free_bytes(&self.state_dir).ok(),
            gpu_ratio,
            gpu_bytes,
        };
        usage.is_kept().then_some(usage)
    }
}

/// Mean use and memory in use of all GPUs; `None` without NVIDIA's driver and its program. Takes up to three seconds.
pub(super) fn gpus() -> Option<(f64, u64)> {
    if !Path::new(NVIDIA).exists() {
        return None;
    }
    let mut command = Command::new("nvidia-smi");
    command
        .args(["--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    // No failpoint: nothing depends on its answer.
    let mut child = command.spawn().ok()?;
    let started = Instant::now();
    while child.try_wait().ok()?.is_none() {
        if started.elapsed() > NVIDIA_LIMIT {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(NVIDIA_POLL);
    }
    parse_gpus(&String::from_utf8_lossy(&child.wait_with_output().ok()?.stdout))
}

/// Parses lines such as `37, 2048`: per cent and MiB of each GPU.
fn parse_gpus(text: &str) -> Option<(f64, u64)> {
    let rows: Vec<(f64, u64)> = text
        .lines()
        .filter_map(|line| {
            let (share, memory) = line.split_once(',')?;
            Some((share.trim().parse().ok()?, memory.trim().parse().ok()?))
        })
        .collect();
    let count = rows.len() as f64;
    let share: f64 = rows.iter().map(|(share, _)| share).sum();
    let memory = rows.iter().map(|(_, memory)| memory).sum::<u64>() << 20;
    (count > 0.0).then_some((share / count / 100.0, memory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_added_up() {
        assert_eq!(parse_gpus("50, 1024\n100, 2048\n"), Some((0.75, 3 << 30)));
        assert_eq!(parse_gpus("[N/A], 1\n"), None);
        assert_eq!(parse_gpus(""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_measurement_comes_every_ten_seconds() {
        let mut meter = Meter::start(Path::new("/"));
        assert_eq!(meter.measure(None), None);
        meter.started = meter.started.checked_sub(USAGE_PERIOD * 2).unwrap();
        let usage = meter.measure(None).unwrap();
        assert_eq!(usage.number, 2);
        assert!(usage.memory_bytes > 0 && usage.peak_bytes == usage.memory_bytes && usage.disk_free_bytes.is_some());
        assert_eq!(meter.measure(None), None);
        meter.started = meter.started.checked_sub(USAGE_PERIOD * 719).unwrap();
        assert_eq!(meter.measure(None), None, "an odd number after two hours");
    }
}
