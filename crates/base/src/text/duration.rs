//! Durations as people write them in files: `"30s"`, `"1h30m"`, `"500ms"`, or a number of seconds.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Longest duration in a file: 100 years. The limit keeps sums of times far from overflow.
const MAXIMUM: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// Returns `at` plus `pause`; saturates.
pub fn later(at: Timestamp, pause: Duration) -> Timestamp {
    SignedDuration::try_from(pause).ok().and_then(|pause| at.checked_add(pause).ok()).unwrap_or(Timestamp::MAX)
}

/// Reads `"1h30m"`: numbers, each with one of the units `ms`, `s`, `m`, `h`, `d`.
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total = total.checked_add(from_seconds(number.parse::<f64>().ok()? * seconds)?)?;
        rest = tail.trim_start();
    }
    (total <= MAXIMUM).then_some(total)
}

/// Converts seconds; `None` when negative, not finite or beyond 100 years.
pub fn from_seconds(seconds: f64) -> Option<Duration> {
    let duration = Duration::try_from_secs_f64(seconds).ok()?;
    (duration <= MAXIMUM).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up_and_nonsense_is_refused() {
        assert_eq!(parse("30s"), Some(Duration::from_secs(30)));
        assert_eq!(parse("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(parse("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse("1.5 s").or(parse("1.5s")), Some(Duration::from_millis(1500)));
        for nonsense in ["", "30", "s", "-1s", "1y", "1..2s", "1e9h", "30 parsecs", "999999999d"] {
            assert_eq!(parse(nonsense), None, "{nonsense}");
        }
        assert_eq!(from_seconds(-1.0), None);
        assert_eq!(from_seconds(f64::INFINITY), None);
    }
}
