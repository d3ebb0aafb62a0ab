//! Due times of a schedule: a cron expression in a time zone. All arithmetic uses wall clock times, so days
//! with 23 or 25 hours are right; the tests below show which times result.

use croner::Cron;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use serde::{Deserialize, Serialize};

/// Maximum number of due times to start at once; the rest follow in the next round.
const BATCH: usize = 100;
/// A due time that an engine reaches later than this counts as missed.
pub const PUNCTUAL: SignedDuration = SignedDuration::from_secs(60);

/// Policy for due times at which no engine was there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// Start a run for each.
    All,
    /// Start a run for the newest only.
    #[default]
    Latest,
    /// Skip them.
    None,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Timetable {
    cron: Cron,
    zone: TimeZone,
}

/// Due times of a schedule at some moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Due {
    /// In order.
    pub times: Vec<Timestamp>,
    /// Everything up to this time is settled.
    pub until: Timestamp,
}

impl Timetable {
    /// # Errors
    /// A description of what is wrong with the expression.
    pub fn new(cron: &str, zone: TimeZone) -> Result<Timetable, String> {
        let parsed = cron.parse().map_err(|error: croner::errors::CronError| {
            wrong_field(cron).unwrap_or_else(|| match error.to_string().split_once(": ") {
                Some((_, what)) => what.to_owned(),
                None => error.to_string(),
            })
        })?;
        Ok(Timetable { cron: parsed, zone })
    }

    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Returns the first due time after a moment; `None` if none comes for years.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let found = self.cron.find_next_occurrence(&self.zoned(after)?, false).ok()?;
        Some(found.timestamp()).filter(|found| *found > after)
    }

    /// Yields due times after `after`, up to and including `until`.
    pub fn between(&self, after: Timestamp, until: Timestamp) -> impl Iterator<Item = Timestamp> {
        std::iter::successors(self.next_after(after), |time| self.next_after(*time))
            .take_while(move |time| *time <= until)
    }

    fn newest(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let found = self.cron.find_previous_occurrence(&self.zoned(until)?, true).ok()?.timestamp();
        Some(found).filter(|found| *found > after && *found <= until)
    }

    /// Returns what is due when everything up to `done_until` is settled. If the clock was set back, nothing is due.
    pub fn due(&self, done_until: Timestamp, now: Timestamp, catch_up: CatchUp) -> Due {
        let until = now.max(done_until);
        let times: Vec<Timestamp> = match catch_up {
            CatchUp::All => {
                let times: Vec<_> = self.between(done_until, now).take(BATCH).collect();
                let until = times.last().copied().filter(|_| times.len() == BATCH).unwrap_or(until);
                return Due { times, until };
            }
            CatchUp::Latest => self.newest(done_until, now).into_iter().collect(),
            CatchUp::None => {
                let punctual = now.checked_sub(PUNCTUAL).unwrap_or(Timestamp::MIN);
                self.between(done_until.max(punctual), now).collect()
            }
        };
        Due { times, until }
    }

    /// Rounds down to whole seconds, because cron knows no fractions.
    fn zoned(&self, at: Timestamp) -> Option<Zoned> {
        let whole = Timestamp::from_second(at.as_nanosecond().div_euclid(1_000_000_000).try_into().ok()?).ok()?;
        Some(whole.to_zoned(self.zone.clone()))
    }
}

/// The fields of an expression, with the smallest and the largest number in each.
const FIELDS: [(&str, u32, u32); 6] = [
    ("second", 0, 59),
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of the month", 1, 31),
    ("month", 1, 12),
    ("day of the week", 0, 7),
];

/// Says which field has a number that it cannot have, or that fields are missing.
fn wrong_field(cron: &str) -> Option<String> {
    let given: Vec<&str> = cron.split_whitespace().collect();
    if cron.trim_start().starts_with('@') {
        return None;
    }
    let fields = match given.len() {
        5 => &FIELDS[1..],
        6 => &FIELDS[..],
        1 => return Some("it has 1 field, and needs 5".to_owned()),
        count => return Some(format!("it has {count} fields, and needs 5, or 6 with seconds in front")),
    };
    fields.iter().zip(given).find_map(|(&(name, least, most), text)| {
        // Behind a slash stands a step.
        let numbers = text.split(',').flat_map(|part| part.split('/').next().unwrap_or_default().split('-'));
        let mut numbers =
            numbers.filter(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
        let wrong =
            numbers.find(|number| number.parse().map_or(true, |number: u32| !(least..=most).contains(&number)))?;
        Some(format!("the {name} is {wrong}, and goes from {least} to {most}"))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn berlin(cron: &str) -> Timetable {
        Timetable::new(cron, TimeZone::get("Europe/Berlin").unwrap()).unwrap()
    }

    fn utc(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn times(table: &Timetable, after: &str, until: &str) -> Vec<String> {
        table.between(utc(after), utc(until)).map(|time| time.to_string()).collect()
    }

    #[test]
    fn a_wrong_field_is_named() {
        let why = |cron: &str| Timetable::new(cron, TimeZone::UTC).unwrap_err();
        for (cron, expected) in [
            ("60 3 * * *", "the minute is 60, and goes from 0 to 59"),
            ("0 24 * * *", "the hour is 24, and goes from 0 to 23"),
            ("0 0 0 * *", "the day of the month is 0, and goes from 1 to 31"),
            ("0 0 1-32 * *", "the day of the month is 32, and goes from 1 to 31"),
            ("0 0 * 1,13 *", "the month is 13, and goes from 1 to 12"),
            ("0 0 * * 8", "the day of the week is 8, and goes from 0 to 7"),
            ("61 0 3 * * *", "the second is 61, and goes from 0 to 59"),
            ("99999999999 3 * * *", "the minute is 99999999999, and goes from 0 to 59"),
            ("0 3 * *", "it has 4 fields, and needs 5, or 6 with seconds in front"),
            ("daily", "it has 1 field, and needs 5"),
        ] {
            assert_eq!(why(cron), expected, "{cron}");
        }
        assert!(!why("a b c d e").contains("error:"), "{}", why("a b c d e"));
        for good in ["*/90 3 * * *", "0 3 * * 7", "0 3 * * MON-FRI", "0 3 L * *", "@daily", "0 3 * * 5#2"] {
            if let Err(why) = Timetable::new(good, TimeZone::UTC) {
                assert!(good.starts_with("*/90"), "{good}: {why}");
            }
        }
    }

    #[test]
    fn a_daily_time_is_a_wall_clock_time() {
        let found = times(&berlin("0 3 * * *"), "2026-03-27T12:00:00Z", "2026-03-31T00:00:00Z");
        assert_eq!(found, ["2026-03-28T02:00:00Z", "2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z"]);
    }

    /// 2026-03-29 has no 02:30 in Berlin, but the day needs its nightly run.
    #[test]
    fn a_time_in_the_gap_is_due_when_the_gap_ends() {
        let found = times(&berlin("30 2 * * *"), "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z");
        assert_eq!(found, ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    }

    /// 2026-10-25 has 02:30 twice in Berlin, but the run is due once.
    #[test]
    fn a_time_in_the_overlap_is_due_once() {
        let found = times(&berlin("30 2 * * *"), "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z");
        assert_eq!(found, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    }

    #[test]
    fn every_half_hour_goes_on_through_both() {
        let gap = times(&berlin("*/30 * * * *"), "2026-03-29T00:15:00Z", "2026-03-29T01:45:00Z");
        assert_eq!(gap, ["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]);
        let overlap = times(&berlin("*/30 * * * *"), "2026-10-24T23:45:00Z", "2026-10-25T02:00:00Z");
        assert_eq!(overlap.len(), 5, "{overlap:?}");
    }

    #[test]
    fn missed_times_are_caught_up_as_the_policy_says() {
        let table = berlin("0 * * * *");
        let (done, now) = (utc("2026-05-01T00:30:00Z"), utc("2026-05-01T04:00:20Z"));
        assert_eq!(table.due(done, now, CatchUp::All).times.len(), 4);
        assert_eq!(table.due(done, now, CatchUp::Latest).times, [utc("2026-05-01T04:00:00Z")]);
        assert_eq!(table.due(done, now, CatchUp::None).times, [utc("2026-05-01T04:00:00Z")], "still punctual");
        let late = utc("2026-05-01T04:30:00Z");
        assert_eq!(table.due(done, late, CatchUp::None), Due { times: vec![], until: late });
        for policy in [CatchUp::All, CatchUp::Latest, CatchUp::None] {
            let due = table.due(done, now, policy);
            assert_eq!(due.until, now);
            assert_eq!(table.due(now, now, policy).times, []);
            // The clock is set back by a day: nothing is due twice.
            let yesterday = utc("2026-04-30T04:00:20Z");
            assert_eq!(table.due(due.until, yesterday, policy), Due { times: vec![], until: now });
        }
    }

    #[test]
    fn a_long_absence_is_caught_up_in_batches() {
        let table = berlin("* * * * *");
        let (mut done, now) = (utc("2026-05-01T00:00:00Z"), utc("2026-05-01T05:00:00Z"));
        let mut all = Vec::new();
        while done < now {
            let due = table.due(done, now, CatchUp::All);
            assert!(due.times.len() <= BATCH);
            all.extend(due.times);
            done = due.until;
        }
        assert_eq!(all.len(), 300);
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
    }

    proptest! {
        /// With engines absent at arbitrary times, `all` gives each due time once, and the other policies give none
        /// twice.
        #[test]
        fn no_due_time_twice(steps in prop::collection::vec(-4_000i64..8_000, 1..60), policy in 0..3) {
            let policy = [CatchUp::All, CatchUp::Latest, CatchUp::None][policy as usize];
            let table = berlin("*/20 * * * *");
            let start = utc("2026-10-24T20:00:00Z");
            let (mut now, mut done, mut fired, mut latest) = (start, start, Vec::new(), start);
            for step in steps {
                now += SignedDuration::from_secs(step);
                latest = latest.max(now);
                let due = table.due(done, now, policy);
                fired.extend(due.times);
                prop_assert!(due.until >= done);
                done = due.until;
            }
            prop_assert!(fired.windows(2).all(|pair| pair[0] < pair[1]), "{fired:?}");
            if policy == CatchUp::All && fired.len() < BATCH {
                prop_assert_eq!(fired, table.between(start, latest).collect::<Vec<_>>());
            }
        }
    }
}
