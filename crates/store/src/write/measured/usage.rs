//! What the processes of attempts use.

use rusqlite::{Transaction, params};

use stepwell_base::protocol::Usage;

use crate::batch::UsageWrite;
use crate::decode::time_text;
use crate::error::StoreError;

/// Inserts a measurement, and removes those that a long attempt no longer keeps. Nothing depends on these rows, so
/// one that is there already, or whose step is gone, is passed over.
pub(in crate::write) fn insert(transaction: &Transaction<'_>, write: &UsageWrite) -> Result<(), StoreError> {
    let UsageWrite { run, step, attempt, at, usage } = write;
    let (run, step) = (run.to_string(), step.as_str());
    let sql =
        "INSERT OR IGNORE INTO attempt_usage (run, step, attempt, number, at, cpu_seconds, memory_bytes, peak_bytes,
                                                    disk_free_bytes, gpu_ratio, gpu_bytes)
               SELECT run, id, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 FROM step WHERE run = ?1 AND id = ?2";
    transaction.prepare_cached(sql)?.execute(params![
        run,
        step,
        attempt,
        usage.number.cast_signed(),
        time_text(*at),
        usage.cpu_seconds,
        usage.memory_bytes.cast_signed(),
        usage.peak_bytes.cast_signed(),
        usage.disk_free_bytes.map(u64::cast_signed),
        usage.gpu_ratio,
        usage.gpu_bytes.map(u64::cast_signed),
    ])?;
    let stride = Usage::stride(usage.number);
    if stride > 1 {
        let sql = "DELETE FROM attempt_usage WHERE run = ?1 AND step = ?2 AND attempt = ?3 AND number % ?4 <> 0";
        transaction.prepare_cached(sql)?.execute(params![run, step, attempt, stride.cast_signed()])?;
    }
    Ok(())
}
