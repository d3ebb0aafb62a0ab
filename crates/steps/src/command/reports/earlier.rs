//! Files of metrics that earlier attempts have left. What a killed worker did not read, or what a killed engine did not
//! commit, is reported by the next attempt before its program starts.

use std::path::{Path, PathBuf};

use crate::Reporter;

use super::metrics::MetricsFile;

/// The file of an attempt, in a folder that survives attempts.
pub(in crate::command) fn metrics_file(folder: &Path, attempt: u32) -> PathBuf {
    folder.join(format!("attempt-{attempt}.jsonl"))
}

/// Reports what the attempts before `attempt` wrote and the engine has not committed. `committed` is the last step with
/// a committed row.
///
/// Rows are committed in the order of their lines, so every line before the first one that reaches `committed` is
/// committed. To report a line twice does no harm: the last number of each name counts.
pub(in crate::command) fn catch_up(
    folder: &Path,
    attempt: u32,
    mut committed: Option<u64>,
    reporter: &mut dyn Reporter,
) {
    for earlier in 1..attempt {
        let mut file = MetricsFile::behind(metrics_file(folder, earlier), committed);
        // A line that cannot be used has ended that attempt already, and its last line may be torn.
        let _ = file.finish(reporter);
        committed = file.committed();
    }
}
