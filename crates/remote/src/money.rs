//! Prices and costs as whole numbers: sums to the cent need no rounding errors.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

const MICROS: u64 = 1_000_000;
/// One million dollars per hour: more is a mistake in an answer.
const HIGHEST: f64 = 1e6;
const HOUR_MS: u128 = 3_600_000;
/// Millionths of a dollar in a cent.
const MICROS_OF_CENT: u128 = 10_000;

/// Millionths of a US dollar per hour.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Price(pub u64);

impl Price {
    /// `None` for what can be no price: a negative number, NaN, more than a million.
    pub fn from_dollars(dollars: f64) -> Option<Price> {
        (0.0..=HIGHEST).contains(&dollars).then(|| Price((dollars * MICROS as f64).round() as u64))
    }

    pub fn from_cents(cents: u64) -> Option<Price> {
        cents.checked_mul(MICROS / 100).map(Price)
    }

    /// The cost of a time, to the nearest cent.
    pub fn of(self, time: Duration) -> Cents {
        let millionths = u128::from(self.0) * time.as_millis();
        let cent = HOUR_MS * MICROS_OF_CENT;
        Cents(u64::try_from((millionths + cent / 2) / cent).unwrap_or(u64::MAX))
    }

    /// The longest time that costs no more than `limit`.
    pub fn lasts(self, limit: Cents) -> Option<Duration> {
        let millis = u128::from(limit.0) * MICROS_OF_CENT * HOUR_MS / u128::from(self.0).max(1);
        (self.0 > 0).then(|| Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:06}", self.0 % MICROS);
        let kept = fraction.trim_end_matches('0').len().max(2);
        write!(f, "${}.{}/h", self.0 / MICROS, &fraction[..kept])
    }
}

/// Cents of a US dollar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cents(pub u64);

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// A text is no amount of money.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no amount of dollars, such as 12 or 12.50")]
pub struct NoAmount(String);

impl FromStr for Cents {
    type Err = NoAmount;

    fn from_str(text: &str) -> Result<Cents, NoAmount> {
        let wrong = || NoAmount(text.to_owned());
        let amount = text.trim().trim_start_matches('$');
        let (whole, cents) = amount.split_once('.').unwrap_or((amount, "0"));
        if cents.is_empty() || cents.len() > 2 || !format!("{whole}{cents}").bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let whole: u64 = whole.parse().map_err(|_| wrong())?;
        let part: u64 = cents.parse().map_err(|_| wrong())?;
        let part = if cents.len() == 1 { part * 10 } else { part };
        whole.checked_mul(100).and_then(|whole| whole.checked_add(part)).map(Cents).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_right_to_the_cent() {
        let price = Price::from_dollars(1.29).unwrap();
        assert_eq!(price.of(Duration::from_secs(3600)), Cents(129));
        assert_eq!(price.of(Duration::from_secs(90 * 60)), Cents(194), "1.935 is rounded up");
        assert_eq!(price.of(Duration::ZERO), Cents(0));
        // 0.1 dollars have no exact binary form; a sum of floats would miss this cent.
        assert_eq!(Price::from_dollars(0.1).unwrap().of(Duration::from_secs(3600 * 24 * 365)), Cents(87_600));
        assert_eq!(price.lasts(Cents(129)), Some(Duration::from_secs(3600)));
        assert_eq!(Price(0).lasts(Cents(1)), None);
    }

    #[test]
    fn money_is_shown_and_read() {
        let shown = [Price(1_290_000), Price(45_123), Price(2_000_000)].map(|price| price.to_string());
        assert_eq!(shown, ["$1.29/h", "$0.045123/h", "$2.00/h"]);
        for (text, cents) in [("12", 1200), ("12.5", 1250), ("$0.07", 7)] {
            assert_eq!(text.parse(), Ok(Cents(cents)));
        }
        for nonsense in ["", "-1", "1.234", "1.", "x", "1e3", "99999999999999999999"] {
            assert!(nonsense.parse::<Cents>().is_err(), "{nonsense}");
        }
        for nonsense in [-0.1, f64::NAN, f64::INFINITY, 1e9] {
            assert_eq!(Price::from_dollars(nonsense), None);
        }
    }
}
