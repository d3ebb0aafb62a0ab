//! One function for each rule. A rule stays silent where it knows too little.

use std::time::Duration;

use jiff::Timestamp;

use super::problem::Problem;
use super::readings::{MachineReadings, StepReadings};
use super::series::usual;

/// A step may be silent for this long, however fast it is: a validation or a checkpoint takes its time.
const SILENCE: Duration = Duration::from_secs(120);
/// Usual times between two reports that a step may be silent.
const SILENT_TIMES: u32 = 20;

/// Newest losses in which a spike is reported, and the fewest before them that say what is usual.
const RECENT: usize = 20;
const FEWEST_BEFORE: usize = 20;
/// A spike is so many usual deviations, and by this factor, above what is usual.
const SPIKE_DEVIATIONS: f64 = 8.0;
const SPIKE_FACTOR: f64 = 1.15;

/// Validations without an improvement until a rise is reported, and the smallest rise.
const VALIDATIONS: usize = 3;
const RISE: f64 = 1.01;

/// Oldest checkpoint that needs no word, and how many usual intervals later that is.
const CHECKPOINT_AGE: Duration = Duration::from_secs(30 * 60);
const CHECKPOINT_TIMES: u32 = 3;

/// Free space that is always low, and how many checkpoints have to fit.
const LOW_DISK: u64 = 1 << 30;
const CHECKPOINTS_THAT_FIT: u64 = 3;
/// Part of the memory that has to be free.
const FREE_MEMORY: u64 = 10;

pub(super) fn not_a_number(losses: &[(u64, f64)]) -> Option<Problem> {
    let is_bad = |(_, loss): &(u64, f64)| !loss.is_finite();
    let count = losses.iter().filter(|row| is_bad(row)).count();
    let (last, _) = losses.iter().rfind(|row| is_bad(row))?;
    if losses.last().is_some_and(is_bad) {
        let good = losses.iter().rposition(|row| !is_bad(row)).map_or(0, |good| good + 1);
        return Some(Problem::NotANumber { since: losses[good].0 });
    }
    Some(Problem::WasNotANumber { count, last: *last })
}

/// A step without a report cannot stall: most commands never report.
pub(super) fn stalled(step: &StepReadings, now: Timestamp) -> Option<Problem> {
    let mark = step.progress?;
    if mark.total > 0 && mark.done >= mark.total {
        // It finishes its work, and nobody knows how long that takes.
        return None;
    }
    let silent = between(mark.at, now);
    let units = u32::try_from(mark.done.saturating_sub(mark.first_done)).unwrap_or(u32::MAX);
    let usual = between(mark.first_at, mark.at).checked_div(units).unwrap_or_default();
    (silent > SILENCE.max(usual.saturating_mul(SILENT_TIMES))).then_some(Problem::Stalled { silent })
}

pub(super) fn spike(losses: &[(u64, f64)]) -> Option<Problem> {
    let (before, recent) = losses.split_at(losses.len().saturating_sub(RECENT));
    if before.len() < FEWEST_BEFORE {
        return None;
    }
    let (usual, deviation) = usual(before.iter().map(|(_, loss)| *loss))?;
    let limit = (usual + SPIKE_DEVIATIONS * deviation).max(usual * SPIKE_FACTOR);
    let finite = || recent.iter().filter(|(_, loss)| loss.is_finite());
    let (train_step, loss) = *finite().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let has_recovered = finite().next_back().is_some_and(|(_, newest)| *newest <= limit);
    (loss > limit).then_some(Problem::LossSpike { train_step, loss, usual, has_recovered })
}

pub(super) fn validation(validations: &[(u64, f64)]) -> Option<Problem> {
    let finite = || validations.iter().filter(|(_, loss)| loss.is_finite());
    let (best_step, best) = *finite().min_by(|a, b| a.1.total_cmp(&b.1))?;
    let (_, newest) = *finite().next_back()?;
    let later = finite().filter(|(train_step, _)| *train_step > best_step).count();
    (later >= VALIDATIONS && newest > best * RISE).then_some(Problem::ValidationRising { best, best_step, newest })
}

/// Judges steps that train or have saved before; other steps have nothing to save.
pub(super) fn checkpoint(step: &StepReadings, now: Timestamp) -> Option<Problem> {
    if step.losses.is_empty() && step.checkpoints.is_empty() {
        return None;
    }
    // Time in which nothing worked, such as a night between two attempts, costs nothing.
    let last = step.checkpoints.last().map_or(step.started_at, |last| (*last).max(step.started_at));
    let age = between(last, now);
    let intervals = step.checkpoints.windows(2).filter(|pair| pair[0] >= step.started_at);
    let longest = intervals.map(|pair| between(pair[0], pair[1])).max().unwrap_or_default();
    let limit = CHECKPOINT_AGE.max(longest.saturating_mul(CHECKPOINT_TIMES));
    (age > limit).then_some(Problem::NoCheckpoint { age })
}

pub(super) fn disk(machine: &MachineReadings, checkpoint_bytes: u64) -> Option<Problem> {
    let free_bytes = machine.disk_free_bytes?;
    let needed = LOW_DISK.max(checkpoint_bytes.saturating_mul(CHECKPOINTS_THAT_FIT));
    (free_bytes < needed).then_some(Problem::LowDisk { free_bytes, checkpoint_bytes })
}

pub(super) fn memory(machine: &MachineReadings) -> Option<Problem> {
    let memory = machine.memory?;
    let free = memory.total_bytes.saturating_sub(memory.used_bytes);
    (free < memory.total_bytes / FREE_MEMORY).then_some(Problem::HighMemory(memory))
}

fn between(start: Timestamp, end: Timestamp) -> Duration {
    Duration::try_from(end.duration_since(start)).unwrap_or_default()
}
