//! Use of the machine by an attempt, in words and as JSON.

use serde_json::{Value, json};

use crate::view::output::bytes;
use stepwell_store::UsageRow;

/// One line about the newest measurement; `newest` holds it and the one before. Empty without one.
pub fn text(newest: &[UsageRow]) -> String {
    let Some(UsageRow { usage, .. }) = newest.first() else { return String::new() };
    let mut parts = Vec::new();
    parts.extend(cores(newest).map(|cores| format!("{cores:.1} cores")));
    let peak = if usage.peak_bytes > usage.memory_bytes {
        format!(" (highest {})", bytes(usage.peak_bytes))
    } else {
        String::new()
    };
    parts.push(format!("{} memory{peak}", bytes(usage.memory_bytes)));
    parts.extend(usage.gpu_ratio.map(|ratio| format!("GPU {:.0} %", ratio * 100.0)));
    parts.extend(usage.gpu_bytes.map(|memory| format!("{} GPU memory", bytes(memory))));
    parts.extend(usage.disk_free_bytes.map(|free| format!("{} free on disk", bytes(free))));
    parts.join(", ")
}

/// Processors in use between the last two measurements, or since the start of the attempt.
fn cores(newest: &[UsageRow]) -> Option<f64> {
    const PERIOD: f64 = stepwell_base::protocol::USAGE_PERIOD.as_secs() as f64;
    let (now, before) = (newest.first()?.usage, newest.get(1).map(|row| row.usage).unwrap_or_default());
    let seconds = now.number.checked_sub(before.number)? as f64 * PERIOD;
    (seconds > 0.0).then(|| ((now.cpu_seconds - before.cpu_seconds) / seconds).max(0.0))
}

/// The newest measurement, or null.
pub fn json(newest: &[UsageRow]) -> Value {
    let Some(UsageRow { attempt, at, usage }) = newest.first() else { return Value::Null };
    json!({
        "attempt": attempt, "at": at, "cpu_seconds": usage.cpu_seconds, "cores": cores(newest),
        "memory_bytes": usage.memory_bytes, "peak_bytes": usage.peak_bytes,
        "disk_free_bytes": usage.disk_free_bytes, "gpu_ratio": usage.gpu_ratio, "gpu_bytes": usage.gpu_bytes,
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use stepwell_base::protocol::Usage;

    use super::*;

    #[test]
    fn one_line_tells_what_an_attempt_uses() {
        let row = |number: u64, cpu_seconds: f64, memory: u64| UsageRow {
            attempt: 1,
            at: Timestamp::UNIX_EPOCH,
            usage: Usage { number, cpu_seconds, memory_bytes: memory << 20, peak_bytes: 400 << 20, ..Usage::default() },
        };
        assert_eq!(text(&[]), "");
        assert_eq!(text(&[row(1, 15.0, 400)]), "1.5 cores, 400.0 MiB memory");
        let mut newest = row(3, 54.0, 300);
        newest.usage.disk_free_bytes = Some(44 << 30);
        newest.usage.gpu_ratio = Some(0.5);
        newest.usage.gpu_bytes = Some(2 << 30);
        let told = text(&[newest.clone(), row(2, 35.0, 400)]);
        assert_eq!(
            told,
            "1.9 cores, 300.0 MiB memory (highest 400.0 MiB), GPU 50 %, 2.0 GiB GPU memory, 44.0 GiB free on disk"
        );
        assert_eq!(json(&[newest])["gpu_ratio"], 0.5);
        assert_eq!(json(&[]), Value::Null);
    }
}
