//! Checks `stepwell.toml`, amounts, durations, rates and schedules.

use std::fs;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use stepwell_base::{amount, duration};
use stepwell_config::{self, Partial, Surroundings};
use stepwell_workflow::diagnostic::Color;
use stepwell_workflow::rate_limit::RateLimit;
use stepwell_workflow::timetable::{CatchUp, Timetable};

const HUNDRED_YEARS: Duration = Duration::from_secs(100 * 366 * 24 * 3600);
/// Due times to check.
const SAMPLE: usize = 20;

/// Checks an amount, a duration and a rate. A displayed amount parses to the same amount.
pub(super) fn amounts(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(amount) = amount::parse(text) {
        assert_eq!(amount::parse(&amount::show(amount)), Some(amount), "{text:?}");
    }
    if let Some(duration) = duration::parse(text) {
        assert!(duration <= HUNDRED_YEARS, "{text:?} is {duration:?}");
    }
    if let Some(limit) = RateLimit::parse(text) {
        assert!(limit.count > 0 && !limit.per.is_zero() && limit.per <= HUNDRED_YEARS, "{text:?} is {limit}");
    }
}

pub(super) fn config(data: &[u8]) {
    let directory = tempfile::tempdir().expect("the folder for temporary files is writable");
    fs::write(directory.path().join("stepwell.toml"), data).expect("a new folder is writable");
    let surroundings = Surroundings { env: &|_| None, working_directory: directory.path().to_owned(), cores: 2 };
    match stepwell_config::load_from(Partial::default(), &surroundings) {
        Ok(settings) => {
            assert!(settings.slots.value > 0, "nothing could ever start");
            for limit in settings.rate_limits.value.values() {
                assert!(limit.count > 0 && !limit.per.is_zero(), "nothing could ever start: {limit}");
            }
        }
        Err(stepwell_config::ConfigError::File(errors)) => drop(errors.render(Color::Plain, 100)),
        Err(other) => assert!(!other.to_string().is_empty()),
    }
}

/// Takes a cron expression, a time zone and seconds since 1970, one per line. Due times only grow, and a forward
/// search finds the same times as a backward search.
pub(super) fn timetable(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let cron = lines.next().unwrap_or_default();
    let zone = lines.next().and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC);
    // No engine ran before 1970. Old zone offsets have seconds, and a backward search misses times there.
    let start = lines.next().and_then(|seconds| Timestamp::from_second(seconds.parse::<u32>().ok()?.into()).ok());
    let start = start.unwrap_or(Timestamp::UNIX_EPOCH);
    let Ok(table) = Timetable::new(cron, zone) else { return };
    let times: Vec<Timestamp> = table.between(start, Timestamp::MAX).take(SAMPLE).collect();
    assert!(times.iter().all(|time| *time > start) && times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    let Some(last) = times.last() else { return };
    let all = table.due(start, *last, CatchUp::All);
    assert_eq!((all.times.as_slice(), all.until), (times.as_slice(), *last));
    assert_eq!(table.due(start, *last, CatchUp::Latest).times, [*last], "the newest is another one");
    let before = last.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(start).max(start);
    assert_eq!(table.due(start, before, CatchUp::Latest).times.first(), times.iter().rev().nth(1));
    assert_eq!(table.due(*last, *last, CatchUp::All).times, []);
}
