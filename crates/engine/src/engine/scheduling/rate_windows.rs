//! Starts under each rate limit, and the time of the next allowed start.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::error::EngineError;
use stepwell_store::Reader;
use stepwell_workflow::limits::Class;
use stepwell_workflow::limits::Limits;
use stepwell_workflow::rate_limit::Window;

#[derive(Default)]
pub(crate) struct RateWindows {
    by_name: BTreeMap<String, Window>,
    deadline: Option<Timestamp>,
}

impl RateWindows {
    pub(crate) fn start_round(&mut self) {
        self.deadline = None;
    }

    /// The next time at which a step that waited in the last round may start.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    /// True if the rate limit of a class lets an attempt start now; else its time becomes a deadline.
    pub(crate) fn allow(&mut self, class: &Class, limits: &Limits, now: Timestamp) -> bool {
        let Some(name) = &class.rate_limit else { return true };
        // An unknown limit is reported when the step gets its turn.
        let Some(&limit) = limits.rate_limits.get(name) else { return true };
        let at = self.by_name.entry(name.clone()).or_default().next_allowed(limit, now);
        if at <= now {
            return true;
        }
        self.deadline = Some(self.deadline.map_or(at, |earlier| earlier.min(at)));
        false
    }

    /// Counts a start. Call it after the claim was decided, so that no start counts as earlier than it was.
    pub(crate) fn count_start(&mut self, class: &Class, now: Timestamp) {
        if let Some(name) = &class.rate_limit {
            self.by_name.entry(name.clone()).or_default().add(now);
        }
    }

    /// Reads the starts of earlier engines that still count.
    pub(crate) fn restore(&mut self, reader: &Reader, limits: &Limits, wall: Timestamp) -> Result<(), EngineError> {
        let Some(longest) = limits.rate_limits.values().map(|limit| limit.per).max() else { return Ok(()) };
        let since = wall.checked_sub(longest).unwrap_or(Timestamp::MIN);
        for (name, start) in reader.limited_starts(since)? {
            self.by_name.entry(name).or_default().add(start);
        }
        Ok(())
    }
}
