//! The health line: problems that a person should know of now.

use std::path::Path;

use jiff::Timestamp;

use crate::problem::Problem;
use stepwell_run::health::{Finding, MachineReadings, MemoryReading, Readings, Severity, judge};
use stepwell_run::status::RunStatus;
use stepwell_store::{Reader, RunRow};

pub struct Named {
    pub class: &'static str,
    pub title: String,
    pub text: String,
}

/// Empty for a run that does not work, and while all is well.
pub fn problems(reader: &Reader, run: &RunRow, now: Timestamp) -> Result<Vec<Named>, Problem> {
    if run.status != RunStatus::Running {
        return Ok(Vec::new());
    }
    let machine = machine(reader.state_dir());
    let found = judge(&Readings { now, steps: reader.health_readings(run.id)?, machine });
    Ok(found.into_iter().map(named).collect())
}

fn named(Finding { step, problem }: Finding) -> Named {
    let class = if problem.severity() == Severity::Critical { "bad" } else { "warning" };
    let title = problem.code().replace('_', " ");
    let text = match step {
        Some(step) => format!("{step}: {problem}"),
        None => problem.to_string(),
    };
    Named { class, title, text }
}

fn machine(state_dir: &Path) -> MachineReadings {
    let disk = rustix::fs::statvfs(state_dir).ok();
    MachineReadings { disk_free_bytes: disk.map(|disk| disk.f_bavail * disk.f_frsize), memory: memory() }
}

/// The memory of the machine, where the system tells it in `/proc`.
fn memory() -> Option<MemoryReading> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
        Some(kib * 1024)
    };
    let (total, available) = (bytes("MemTotal")?, bytes("MemAvailable")?);
    Some(MemoryReading { used_bytes: total.saturating_sub(available), total_bytes: total })
}
