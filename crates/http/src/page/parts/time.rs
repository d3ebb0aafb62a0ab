//! Times and durations.

use jiff::{SignedDuration, Timestamp};

use stepwell_run::status::{RunStatus, StepStatus};
use stepwell_store::{RunRow, StepRow};

/// A point in time. The browser shows it in the time zone of the person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct When {
    pub iso: String,
    pub text: String,
}

/// A duration that is over, or one that the browser counts on from `since`, in seconds since 1970.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lasted {
    pub since: Option<i64>,
    pub text: String,
}

impl When {
    pub fn new(at: Timestamp) -> When {
        When { iso: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), text: at.strftime("%Y-%m-%d %H:%M:%SZ").to_string() }
    }
}

impl Lasted {
    fn over(time: SignedDuration) -> Lasted {
        Lasted { since: None, text: duration(time.as_secs_f64()) }
    }

    fn running(since: Timestamp, now: Timestamp) -> Lasted {
        let text = duration(now.duration_since(since).as_secs_f64().max(0.0));
        Lasted { since: Some(since.as_second()), text }
    }

    /// From the start of a run to its end; a run that nobody drives stops counting.
    pub fn of_run(run: &RunRow, now: Timestamp) -> Option<Lasted> {
        let start = run.started_at?;
        Some(match (run.finished_at, run.status) {
            (Some(end), _) => Lasted::over(end.duration_since(start)),
            (None, RunStatus::Running | RunStatus::Canceling) => Lasted::running(start, now),
            (None, _) => Lasted::over(run.updated_at.duration_since(start)),
        })
    }

    /// The work of all attempts of a step; a step without attempts counts its wait.
    pub fn of_step(step: &StepRow, run: RunStatus, now: Timestamp) -> Option<Lasted> {
        let start = step.started_at?;
        let worked = SignedDuration::from_millis(step.compute_ms);
        let is_driven = matches!(run, RunStatus::Running | RunStatus::Canceling);
        if step.status == StepStatus::Running && is_driven {
            let since = step.attempt_started_at.unwrap_or(start).checked_sub(worked).unwrap_or(start);
            return Some(Lasted::running(since, now));
        }
        if step.attempts == 0 && step.children.is_none() {
            return Some(match step.finished_at {
                Some(end) => Lasted::over(end.duration_since(start)),
                None => Lasted::running(start, now),
            });
        }
        Some(Lasted::over(worked))
    }
}

/// A duration such as `3.2s`, `3m 12s` or `2h 1m`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..10 => format!("{seconds:.1}s"),
        10..60 => format!("{whole}s"),
        60..3600 => format!("{}m {}s", whole / 60, whole % 60),
        3600..86400 => format!("{}h {}m", whole / 3600, whole % 3600 / 60),
        _ => format!("{}d {}h", whole / 86400, whole % 86400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        let texts = [0.0, 3.25, 12.9, 192.0, 7_260.0, 200_000.0].map(duration);
        assert_eq!(texts, ["0.0s", "3.2s", "12s", "3m 12s", "2h 1m", "2d 7h"]);
    }

    #[test]
    fn a_time_is_given_to_the_second() {
        let when = When::new("2026-11-30T08:01:02.345Z".parse().unwrap());
        assert_eq!((when.iso.as_str(), when.text.as_str()), ("2026-11-30T08:01:02Z", "2026-11-30 08:01:02Z"));
    }
}
