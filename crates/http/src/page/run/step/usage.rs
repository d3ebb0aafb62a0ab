//! Charts of the machine's use by the processes of an attempt, each with a table.

use super::super::super::parts::{bytes, duration, spark};
use stepwell_base::protocol::USAGE_PERIOD;
use stepwell_store::UsageRow;

/// Rows of a table at most; they are evenly spaced, and the last one is always there.
const MOST_ROWS: usize = 24;

pub struct Use {
    pub title: &'static str,
    /// The newest value.
    pub now: String,
    /// The path of the line.
    pub line: String,
    /// The range of the values, and the chart in words.
    pub range: String,
    pub text: String,
    /// The time since the start of the attempt, and the value.
    pub rows: Vec<(String, String)>,
}

/// The charts of one attempt, from its measurements in order; none without a measurement.
pub fn charts(rows: &[UsageRow]) -> Vec<Use> {
    let each = |value: &dyn Fn(&UsageRow) -> Option<f64>| -> Vec<(f64, f64)> {
        rows.iter().filter_map(|row| Some((row.usage.number as f64, value(row)?))).collect()
    };
    let size = |value: f64| bytes(value.max(0.0) as u64);
    let share = |value: f64| format!("{:.0} %", value * 100.0);
    let number = |value: f64| format!("{value:.1}");
    let charts = [
        chart("Processor cores", cores(rows), Start::Zero, &number),
        chart("Memory", each(&|row| Some(row.usage.memory_bytes as f64)), Start::Zero, &size),
        chart("GPU", each(&|row| row.usage.gpu_ratio), Start::Zero, &share),
        chart("GPU memory", each(&|row| row.usage.gpu_bytes.map(|bytes| bytes as f64)), Start::Zero, &size),
        chart("Free on disk", each(&|row| row.usage.disk_free_bytes.map(|bytes| bytes as f64)), Start::Lowest, &size),
    ];
    charts.into_iter().flatten().collect()
}

/// Where the bottom of a chart is.
enum Start {
    Zero,
    Lowest,
}

fn chart(title: &'static str, points: Vec<(f64, f64)>, start: Start, text: &dyn Fn(f64) -> String) -> Option<Use> {
    let (last, values) = (points.last()?.1, points.iter().map(|point| point.1));
    let (low, high) = (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max));
    let bottom = match start {
        Start::Zero => 0.0,
        Start::Lowest => low,
    };
    Some(Use {
        title,
        now: text(last),
        line: spark(&points, bottom),
        range: format!("lowest {}, highest {}", text(low), text(high)),
        text: format!("{title}: {} at last, lowest {}, highest {}", text(last), text(low), text(high)),
        rows: spread(&points).map(|(number, value)| (after(number), text(value))).collect(),
    })
}

/// Evenly spaced points, the last one among them.
fn spread(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> {
    let stride = points.len().div_ceil(MOST_ROWS).max(1);
    points.iter().rev().step_by(stride).copied().collect::<Vec<_>>().into_iter().rev()
}

/// The time of a measurement since the start of the attempt.
fn after(number: f64) -> String {
    duration(number * USAGE_PERIOD.as_secs_f64())
}

/// Processors in use between two measurements.
fn cores(rows: &[UsageRow]) -> Vec<(f64, f64)> {
    let mut before = (0, 0.0);
    let mut found = Vec::new();
    for UsageRow { usage, .. } in rows {
        let seconds = usage.number.saturating_sub(before.0) as f64 * USAGE_PERIOD.as_secs_f64();
        if seconds > 0.0 {
            found.push((usage.number as f64, ((usage.cpu_seconds - before.1) / seconds).max(0.0)));
        }
        before = (usage.number, usage.cpu_seconds);
    }
    found
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use stepwell_base::protocol::Usage;

    use super::*;

    #[test]
    fn charts_say_what_they_show() {
        let row = |number: u64, cpu_seconds: f64, memory: u64| UsageRow {
            attempt: 1,
            at: Timestamp::UNIX_EPOCH,
            usage: Usage { number, cpu_seconds, memory_bytes: memory << 20, ..Usage::default() },
        };
        let charts = charts(&[row(1, 15.0, 300), row(2, 35.0, 400), row(4, 45.0, 200)]);
        let texts: Vec<&str> = charts.iter().map(|chart| chart.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "Processor cores: 0.5 at last, lowest 0.5, highest 2.0",
                "Memory: 200.0 MiB at last, lowest 200.0 MiB, highest 400.0 MiB"
            ]
        );
        let rows: Vec<(&str, &str)> = charts[1].rows.iter().map(|(at, value)| (at.as_str(), value.as_str())).collect();
        assert_eq!(rows, [("10s", "300.0 MiB"), ("20s", "400.0 MiB"), ("40s", "200.0 MiB")]);
        assert!(super::charts(&[]).is_empty());
    }

    #[test]
    fn a_long_attempt_has_a_short_table_with_its_end() {
        for count in [1, 24, 25, 48, 49, 10_000] {
            let points: Vec<(f64, f64)> = (1..=count).map(|number| (f64::from(number), 0.0)).collect();
            let rows: Vec<f64> = spread(&points).map(|point| point.0).collect();
            assert!(rows.len() <= MOST_ROWS && rows.len() * 3 >= points.len().min(MOST_ROWS), "{count}: {rows:?}");
            assert!(rows.is_sorted() && rows.last() == Some(&f64::from(count)), "{count}: {rows:?}");
        }
    }
}
