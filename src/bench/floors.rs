//! What the machine does without an engine.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::store::raw_commits;

use super::error::BenchError;

/// The smallest program there is.
pub(super) const PROGRAM: &str = "/bin/true";

/// Rows per second in commits of `rows` rows.
pub(super) fn rows_per_second(folder: &Path, commits: usize, rows: usize) -> Result<f64, BenchError> {
    let time = raw_commits(folder, commits, rows)?;
    Ok((commits * rows) as f64 / time.as_secs_f64())
}

/// Programs per second, one after another: spawn (without a copy of this process) and wait.
pub(super) fn spawns_per_second(count: usize) -> Result<f64, BenchError> {
    let started = Instant::now();
    for _ in 0..count {
        let mut command = Command::new(PROGRAM);
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().map_err(BenchError::system("start /bin/true"))?;
    }
    Ok(count as f64 / started.elapsed().as_secs_f64())
}
