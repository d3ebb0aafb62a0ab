//! The program under test as a child process, and what the system reports about it (on Linux; elsewhere nothing).

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use stepwell_steps::own_binary;

use super::error::BenchError;

const PAUSE: Duration = Duration::from_millis(20);
/// Selects the vector instructions to measure. Passed on to the child: a setting of the machine, not of the user.
const INSTRUCTIONS: &str = "STEPWELL_ISA";

/// Command for `stepwell` with its own state directory and without the user's settings.
pub(super) fn stepwell(state_dir: &Path, args: &[&str]) -> Result<Command, BenchError> {
    let program = own_binary().map_err(BenchError::system("find this program's own path"))?;
    let mut command = Command::new(program);
    command.arg("--state-dir").arg(state_dir).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("STEPWELL_") && text != INSTRUCTIONS {
            command.env_remove(name);
        }
    }
    Ok(command)
}

/// Waits for the child and returns its peak memory in MiB.
pub(super) fn finish(mut child: Child, command: &str) -> Result<Option<f64>, BenchError> {
    let mut peak = None;
    loop {
        if let Some(status) = child.try_wait().map_err(BenchError::system("wait for the engine"))? {
            if status.success() {
                return Ok(peak);
            }
            return Err(BenchError::Child { command: command.to_owned(), what: format!("ended with {status}") });
        }
        peak = memory(child.id(), "VmHWM:").or(peak);
        thread::sleep(PAUSE);
    }
}

/// Memory of a process in MiB: `VmHWM:` is its peak, `VmRSS:` its current size.
pub(super) fn memory(pid: u32, field: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib / 1024.0)
}

/// Resources that all threads of a process have used so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Usage {
    /// Clock ticks of 10 ms.
    pub ticks: u64,
    /// Number of times that a thread went to sleep, which it does once per wake-up.
    pub wake_ups: u64,
}

pub(super) fn usage(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = [11, 12].into_iter().filter_map(|i| fields.get(i)?.parse::<u64>().ok()).sum();
    let mut wake_ups = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches:"));
        wake_ups += line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0);
    }
    Some(Usage { ticks, wake_ups })
}

/// Load averages, in the format of `/proc/loadavg`.
pub(super) fn load() -> String {
    fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}
