//! Reads the numbers of the machine that the health of a run depends on.

use std::fs;
use std::path::Path;

use stepwell_artifact::free_bytes;
use stepwell_run::health::{MachineReadings, MemoryReading};

pub fn machine_readings(state_dir: &Path) -> MachineReadings {
    MachineReadings { disk_free_bytes: free_bytes(state_dir).ok(), memory: memory() }
}

/// The memory of the machine, where the system tells it in `/proc`.
fn memory() -> Option<MemoryReading> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
    };
    let (total_bytes, available) = (bytes("MemTotal")?, bytes("MemAvailable")?);
    Some(MemoryReading { used_bytes: total_bytes.saturating_sub(available), total_bytes })
}
