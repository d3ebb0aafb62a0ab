//! Axes of charts: their range, their ticks, and the labels of the ticks.

use super::chart::Spread;

/// Quotient of the largest and the smallest value from which a logarithmic scale shows more.
const WIDE: f64 = 50.0;
/// Ticks of an axis, about.
const TICKS: f64 = 5.0;

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    is_logarithmic: bool,
}

impl Scale {
    /// A scale for values; `None` without a finite one.
    pub(super) fn of(values: impl Iterator<Item = f64>, spread: Spread) -> Option<Scale> {
        let finite = values.filter(|value| value.is_finite());
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), value| (l.min(value), h.max(value)));
        if low > high {
            return None;
        }
        if spread == Spread::Fitting && low > 0.0 && high / low >= WIDE {
            return Some(Scale { low, high, is_logarithmic: true });
        }
        // Half of the largest numbers, so that the range stays finite.
        let [low, high] = [low, high].map(|bound| bound.clamp(f64::MIN / 4.0, f64::MAX / 4.0));
        let room = if low == high { (low.abs() / 10.0).max(f64::MIN_POSITIVE) } else { (high - low) / 25.0 };
        let room = if low == 0.0 && high == 0.0 { 1.0 } else { room };
        Some(Scale { low: low - room, high: high + room, is_logarithmic: false })
    }

    /// A scale from one training step to another.
    pub(super) fn of_steps(first: u64, last: u64) -> Scale {
        Scale { low: first as f64, high: (last as f64).max(first as f64 + 1.0), is_logarithmic: false }
    }

    /// The place of a value between 0 (lowest) and 1.
    pub(super) fn place(&self, value: f64) -> f64 {
        let place = match self.is_logarithmic {
            true => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        };
        place.clamp(0.0, 1.0)
    }

    pub(super) fn is_logarithmic(&self) -> bool {
        self.is_logarithmic
    }

    /// Round numbers inside the range, with their labels.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        if self.is_logarithmic {
            return self.powers();
        }
        let step = rounded((self.high - self.low) / TICKS);
        let decimals = usize::try_from(-(step.log10().floor() as i64)).unwrap_or(0);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        // A range of huge numbers has none that `i64` can count.
        let ticks = (first..=last).take(3 * TICKS as usize).map(|tick| tick as f64 * step);
        ticks.map(|value| (value, label(value, decimals))).collect()
    }

    fn powers(&self) -> Vec<(f64, String)> {
        let (first, last) = (self.low.log10().ceil() as i32, self.high.log10().floor() as i32);
        let every = ((last - first) / 6 + 1).max(1);
        let powers = (first..=last).step_by(usize::try_from(every).unwrap_or(1));
        let mut ticks: Vec<f64> = powers.map(|power| 10f64.powi(power)).collect();
        if ticks.len() < 3 {
            let more = (first - 1..=last).flat_map(|power| [2.0, 5.0].map(|factor| factor * 10f64.powi(power)));
            ticks.extend(more.filter(|value| (self.low..=self.high).contains(value)));
            ticks.sort_by(f64::total_cmp);
        }
        let decimals = |value: f64| usize::try_from(-(value.log10().floor() as i64)).unwrap_or(0);
        ticks.into_iter().map(|value| (value, label(value, decimals(value)))).collect()
    }
}

/// The closest of 1, 2, 5 and 10 times a power of ten.
fn rounded(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factor = match step / power {
        ..1.5 => 1.0,
        ..3.5 => 2.0,
        ..7.5 => 5.0,
        _ => 10.0,
    };
    factor * power
}

/// A tick such as `2.5`, `20,000`, `150M` or `1e-6`.
fn label(value: f64, decimals: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    for (unit, size) in [("T", 1e12), ("G", 1e9), ("M", 1e6)] {
        if (size..1000.0 * size).contains(&value.abs()) {
            return format!("{}{unit}", value / size);
        }
    }
    if decimals > 3 || value.abs() >= 1e15 {
        let text = format!("{value:.1e}");
        return text.replace(".0e", "e");
    }
    if decimals > 0 || value.abs() < 10_000.0 {
        return format!("{value:.decimals$}");
    }
    thousands(value)
}

/// A whole number with commas.
pub(super) fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[f64]) -> String {
        let scale = Scale::of(values.iter().copied(), Spread::Fitting).unwrap();
        scale.ticks().into_iter().map(|(_, label)| label).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(&[2.7, 5.6]), "3.0 3.5 4.0 4.5 5.0 5.5");
        assert_eq!(labels(&[0.0, 20_000.0]), "0 5000 10,000 15,000 20,000");
        assert_eq!(labels(&[1.0, 1.25]), "1.00 1.05 1.10 1.15 1.20 1.25");
        assert_eq!(labels(&[4e8, 6e8]), "400M 450M 500M 550M 600M");
        assert_eq!(labels(&[-3.0, 3.0]), "-3 -2 -1 0 1 2 3");
        assert_eq!(labels(&[1e-6, 1.0]), "1e-6 1e-4 0.01 1");
        assert_eq!(labels(&[2.0, 300.0]), "2 5 10 20 50 100 200");
        assert_eq!(labels(&[0.0]), "-1.0 -0.5 0 0.5 1.0");
    }

    #[test]
    fn odd_ranges_are_no_trouble() {
        for values in [&[f64::MAX, f64::MIN][..], &[f64::MIN_POSITIVE], &[5.0], &[-1e-300, 1e-300], &[f64::MAX]] {
            let scale = Scale::of(values.iter().copied(), Spread::Fitting).unwrap();
            assert!(values.iter().all(|value| (0.0..=1.0).contains(&scale.place(*value))), "{values:?}");
            assert!(scale.ticks().len() < 20, "{values:?}");
        }
        assert_eq!(Scale::of([f64::NAN].into_iter(), Spread::Linear), None);
        assert_eq!(thousands(-1_234_567.0), "-1,234,567");
    }
}
