//! Rate limits over a sliding window: at most `count` attempts start within any span of length `per`.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use stepwell_base::duration;
use stepwell_base::duration::later;

/// `10/min`: at most `count` starts within any `per`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateLimit {
    pub count: u32,
    pub per: Duration,
}

impl RateLimit {
    /// Reads `10/min`, `1/s`, `100/h`, `5/10m`.
    pub fn parse(text: &str) -> Option<RateLimit> {
        let (count, per) = text.split_once('/')?;
        let per = match per.trim() {
            "s" | "sec" | "second" => Duration::from_secs(1),
            "m" | "min" | "minute" => Duration::from_secs(60),
            "h" | "hour" => Duration::from_secs(3600),
            "d" | "day" => Duration::from_secs(86_400),
            other => duration::parse(other)?,
        };
        let count = count.trim().parse().ok().filter(|count| *count > 0)?;
        (!per.is_zero()).then_some(RateLimit { count, per })
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {} s", self.count, self.per.as_secs_f64())
    }
}

/// Recent starts that still count against a limit.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Window {
    starts: VecDeque<Timestamp>,
}

impl Window {
    pub fn add(&mut self, start: Timestamp) {
        self.starts.push_back(start);
    }

    /// Returns the time at which the next attempt may start: `now` if it may start at once.
    pub fn next_allowed(&mut self, limit: RateLimit, now: Timestamp) -> Timestamp {
        // A clock that was set back must not close the window for longer than its length.
        for start in &mut self.starts {
            *start = (*start).min(now);
        }
        while self.starts.front().is_some_and(|start| later(*start, limit.per) <= now) {
            self.starts.pop_front();
        }
        let count = limit.count as usize;
        // The next attempt may start once the oldest of the newest `count` starts leaves the window.
        match self.starts.len().checked_sub(count).and_then(|first| self.starts.get(first)) {
            Some(start) => later(*start, limit.per),
            None => now,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).unwrap()
    }

    #[test]
    fn limits_are_read_and_nonsense_is_refused() {
        let limit = |text| RateLimit::parse(text);
        assert_eq!(limit("10/min"), Some(RateLimit { count: 10, per: Duration::from_secs(60) }));
        assert_eq!(limit("5 / 10m"), Some(RateLimit { count: 5, per: Duration::from_secs(600) }));
        for nonsense in ["", "10", "0/s", "10/", "x/min", "10/0s", "10/fortnight"] {
            assert_eq!(limit(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_clock_that_was_set_back_blocks_for_one_window_at_most() {
        let limit = RateLimit { count: 1, per: Duration::from_secs(60) };
        let mut window = Window::default();
        window.add(at(1_000_000_000));
        assert_eq!(window.next_allowed(limit, at(0)), at(60_000));
    }

    proptest! {
        #[test]
        fn no_span_of_the_length_holds_more_starts(
            count in 1u32..5, per in 1u64..50, waits in prop::collection::vec(0i64..40, 1..60),
        ) {
            let limit = RateLimit { count, per: Duration::from_millis(per) };
            let (mut window, mut now, mut starts) = (Window::default(), 0, Vec::new());
            for wait in waits {
                now += wait;
                let allowed = window.next_allowed(limit, at(now));
                prop_assert!(allowed >= at(now));
                // The engine sleeps until the time it was told.
                now = allowed.as_millisecond();
                prop_assert_eq!(window.next_allowed(limit, at(now)), at(now), "no second wait");
                window.add(at(now));
                starts.push(now);
            }
            for (i, start) in starts.iter().enumerate() {
                let within = starts[i..].iter().take_while(|other| **other < start + per as i64).count();
                prop_assert!(within <= count as usize, "{starts:?}");
            }
        }
    }
}
