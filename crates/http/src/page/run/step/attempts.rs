//! The attempts of a step, newest first.

use jiff::Timestamp;

use super::super::super::parts::{Badge, When, cut, duration};
use super::super::super::runs::encoded;
use stepwell_base::ids::RunId;
use stepwell_base::visible::visible;
use stepwell_run::provenance::AttemptRecord;
use stepwell_store::StepRow;

const MOST: usize = 100;
const LONGEST: usize = 300;

pub struct Attempt {
    pub number: u32,
    pub state: Badge,
    pub started: When,
    pub lasted: Option<String>,
    /// May have several lines, such as the end of a log.
    pub reason: String,
    pub log: String,
    /// The address of the view with this attempt's use of the machine.
    pub href: String,
    pub is_shown: bool,
}

pub fn attempts(run: RunId, step: &StepRow, records: Vec<AttemptRecord>, shown: u32) -> Vec<Attempt> {
    let id = encoded(step.id.as_str());
    let attempt = |record: AttemptRecord| {
        let number = record.attempt;
        let seconds = |end: Timestamp, start: Timestamp| end.duration_since(start).as_secs_f64();
        let times = record.finished_at.as_ref().map(|end| (end.parse(), record.started_at.parse()));
        let lasted = match times {
            Some((Ok(end), Ok(start))) => Some(duration(seconds(end, start))),
            _ => None,
        };
        Attempt {
            number,
            state: Badge::of_attempt(&record.status),
            started: When::new(record.started_at.parse().unwrap_or(Timestamp::UNIX_EPOCH)),
            lasted,
            reason: cut(visible(record.reason.as_deref().unwrap_or_default()).trim_end(), LONGEST),
            log: format!("/runs/{run}/logs?step={id}&attempt={number}"),
            href: format!("/runs/{run}/steps/{id}?attempt={number}"),
            is_shown: number == shown,
        }
    };
    records.into_iter().rev().take(MOST).map(attempt).collect()
}
