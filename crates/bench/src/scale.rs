//! Runs with many steps: memory and steady rates.

use std::fs;
use std::path::Path;

use jiff::{Timestamp, Unit};

use stepwell_store::{Reader, RunRow};

use super::error::BenchError;
use super::statistics::Report;
use super::throughput::serve;
use super::workflows;

/// Measures a chain and a fan-out of `count` steps each.
pub(super) fn scale(folder: &Path, count: usize, report: &mut Report) -> Result<(), BenchError> {
    let cases = [
        (workflows::chain("chain", count), "chain_100k", "chain_100k_memory", "chain_100k_slowing"),
        (workflows::fan_out("fan", count), "fanout_100k", "fanout_100k_memory", "fanout_100k_slowing"),
    ];
    for (workflow, rate, peak, slowing) in cases {
        let state_dir = folder.join("scale");
        let measured = serve(folder, &state_dir, &workflow)?;
        report.add(rate, "1/s", count as f64 / measured.seconds);
        if let Some(size) = measured.peak {
            report.add(peak, "MiB", size);
        }
        report.add(slowing, "1", first_to_last(&state_dir, &measured.run)?);
        fs::remove_dir_all(&state_dir).map_err(BenchError::system("remove the temporary state directory"))?;
        report.at_most(peak, 200.0);
        report.at_most(slowing, 1.3);
    }
    Ok(())
}

/// Rate of the first tenth of the steps, divided by the rate of the last tenth.
fn first_to_last(state_dir: &Path, run: &RunRow) -> Result<f64, BenchError> {
    let steps = Reader::open(state_dir)?.steps(run.id)?;
    let mut ends: Vec<Timestamp> =
        steps.iter().filter(|step| step.attempts > 0).filter_map(|step| step.finished_at).collect();
    ends.sort();
    let tenth = ends.len() / 10;
    let seconds = |from: Timestamp, to: Timestamp| (to - from).total(Unit::Second).unwrap_or(f64::NAN).max(0.001);
    match (run.started_at, ends.get(tenth), ends.len().checked_sub(tenth + 1).and_then(|i| ends.get(i)), ends.last()) {
        (Some(start), Some(&first), Some(&before), Some(&last)) => Ok(seconds(before, last) / seconds(start, first)),
        _ => Ok(f64::NAN),
    }
}
