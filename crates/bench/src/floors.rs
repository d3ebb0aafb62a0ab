//! Floors: rates of the machine without an engine.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use stepwell_store::raw_commits;

use super::error::BenchError;

/// A program that does nothing.
pub(super) const PROGRAM: &str = "/bin/true";

/// Rows per second when each commit has `rows` rows.
pub(super) fn rows_per_second(folder: &Path, commits: usize, rows: usize) -> Result<f64, BenchError> {
    let time = raw_commits(folder, commits, rows)?;
    Ok((commits * rows) as f64 / time.as_secs_f64())
}

/// Programs per second, one after another: spawns without a copy of this process, and waits.
pub(super) fn spawns_per_second(count: usize) -> Result<f64, BenchError> {
    let started = Instant::now();
    for _ in 0..count {
        let mut command = Command::new(PROGRAM);
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().map_err(BenchError::system("start /bin/true"))?;
    }
    Ok(count as f64 / started.elapsed().as_secs_f64())
}
