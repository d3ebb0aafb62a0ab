//! Completion windows: `24h`, `90m`, `3d`, or a point in time.

use std::time::Duration;

use jiff::Timestamp;

/// Longest window.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// When a batch must be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deadline {
    /// Counted from the start of the first attempt.
    After(Duration),
    At(Timestamp),
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no deadline: write a time such as `24h`, `90m` or `2d`, or a point such as `2026-12-01T08:00:00Z`")]
pub struct InvalidDeadline(String);

impl Deadline {
    pub fn parse(text: &str) -> Result<Deadline, InvalidDeadline> {
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Deadline::At(at));
        }
        span(text).map(Deadline::After).ok_or_else(|| InvalidDeadline(crate::body::shortened(text)))
    }

    /// The point in time, for work that started at `start`.
    pub fn of(self, start: Timestamp) -> Timestamp {
        match self {
            Deadline::At(at) => at,
            Deadline::After(span) => {
                let span = jiff::SignedDuration::try_from(span).unwrap_or(jiff::SignedDuration::MAX);
                start.checked_add(span).unwrap_or(Timestamp::MAX)
            }
        }
    }
}

fn span(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let span = Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?);
    (!span.is_zero() && span <= LONGEST).then_some(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_points_are_read() {
        let start: Timestamp = "2026-11-30T00:00:00Z".parse().unwrap();
        let of = |text: &str| Deadline::parse(text).unwrap().of(start).to_string();
        assert_eq!(of("24h"), "2026-12-01T00:00:00Z");
        assert_eq!(of("90s"), "2026-11-30T00:01:30Z");
        assert_eq!(of("2026-12-24T18:00:00+01:00"), "2026-12-24T17:00:00Z");
        for wrong in ["", "h", "24", "0h", "24 h", "-1h", "1.5h", "99999999999999999999h", "9999d", "ä"] {
            assert!(Deadline::parse(wrong).is_err(), "{wrong}");
        }
    }
}
