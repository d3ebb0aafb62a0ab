//! The signals that ask a process to stop.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

/// The signals that ask the process of a person or a supervisor to stop. Batch systems such as Slurm announce the end of
/// a job's time with SIGUSR1. SIGHUP counts unless the process ignores it.
pub fn stop_signals() -> impl Iterator<Item = i32> {
    [SIGINT, SIGTERM, SIGUSR1].into_iter().chain((!ignores_hangup()).then_some(SIGHUP))
}

/// The signals that ask a worker to stop: a batch system may send them to every process of a job.
pub(crate) const WORKER_STOPS: [i32; 4] = [SIGTERM, SIGINT, SIGHUP, SIGUSR1];

/// `nohup` starts programs that survive their terminal, with SIGHUP ignored. Only Linux reveals this.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (SIGHUP - 1)) != 0
}
