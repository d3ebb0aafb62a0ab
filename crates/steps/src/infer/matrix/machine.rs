//! The machine during a measurement: one measurement at a time, and the memory that it needs.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use crate::handler::{StepContext, StepError};
use stepwell_base::failure::Failure;

/// A file of the state directory. Who measures holds its lock, which the system takes back from the dead.
const LOCK: &str = "measure.lock";
/// Time between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// Waits until no other step of this state directory measures. The lock holds until the file is dropped.
pub(super) fn alone(context: &mut StepContext<'_>, total: u64) -> Result<File, StepError> {
    let path = context.request.state_dir.join(LOCK);
    let failed = |error: std::io::Error| Failure::io(format!("cannot lock `{}`", path.display()), &error);
    let file = File::options().create(true).write(true).truncate(false).open(&path).map_err(failed)?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) => context.report(0, total, "requests", "waits for its turn")?,
            Err(fs::TryLockError::Error(error)) => return Err(failed(error).into()),
        }
        std::thread::sleep(PAUSE);
    }
}

/// Forgets the largest memory of this process so far, which may be that of an earlier step.
pub(super) fn forget_peak() {
    // Only Linux has it; without it, the peak is that of the whole process.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Largest memory of this process in bytes, where the system tells it.
pub(super) fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string(Path::new("/proc/self/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? << 10)
}
