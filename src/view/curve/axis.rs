//! The axis of a plot: its range, its scale and its labels.

/// Quotient of the largest and the smallest value from which a logarithmic scale shows more.
const WIDE: f64 = 50.0;

/// The range of the values, and how they are spread over it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    pub(super) scale: Scale,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scale {
    Linear,
    Logarithmic,
}

impl Axis {
    /// The axis of some values; `None` if none of them is finite.
    pub(super) fn of(values: impl Iterator<Item = f64> + Clone) -> Option<Axis> {
        let finite = values.filter(|value| value.is_finite());
        let low = finite.clone().fold(f64::INFINITY, f64::min);
        let high = finite.fold(f64::NEG_INFINITY, f64::max);
        if low > high {
            return None;
        }
        if low == high {
            // Half of the largest numbers, so that the range stays finite.
            let room = if low == 0.0 { 1.0 } else { low.abs() / 10.0 };
            let (low, high) = ((low - room).max(f64::MIN / 2.0), (high + room).min(f64::MAX / 2.0));
            return Some(Axis { low, high, scale: Scale::Linear });
        }
        let scale = if low > 0.0 && high / low >= WIDE { Scale::Logarithmic } else { Scale::Linear };
        Some(Axis { low, high, scale })
    }

    /// The place of a value between 0 (lowest) and 1.
    pub(super) fn place(&self, value: f64) -> f64 {
        let place = match self.scale {
            // Halves cannot overflow.
            Scale::Linear => (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0),
            Scale::Logarithmic => (value.ln() - self.low.ln()) / (self.high.ln() - self.low.ln()),
        };
        place.clamp(0.0, 1.0)
    }

    /// The value at a place, the inverse of [`Axis::place`].
    pub(super) fn value(&self, place: f64) -> f64 {
        match self.scale {
            Scale::Linear => self.low * (1.0 - place) + self.high * place,
            Scale::Logarithmic => (self.low.ln() * (1.0 - place) + self.high.ln() * place).exp(),
        }
    }
}

/// A number in at most 10 characters, such as `2.4131`, `18,400` without the comma, or `1.00e-3`.
pub fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if value.is_nan() => "NaN".to_owned(),
        _ if value.is_infinite() => value.to_string(),
        0.0 => "0".to_owned(),
        0.001..1e7 if value.fract() == 0.0 => format!("{value}"),
        0.001..10.0 => format!("{value:.4}"),
        10.0..1000.0 => format!("{value:.2}"),
        1000.0..1e7 => format!("{value:.1}"),
        _ => format!("{value:.2e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 2.413_06, 0.001, 1e-5, 18_400.0, 18_400.26, -123.456, 3.2e12, f64::NAN].map(number);
        assert_eq!(shown, ["0", "2.4131", "0.0010", "1.00e-5", "18400", "18400.3", "-123.46", "3.20e12", "NaN"]);
        for value in [f64::MAX, f64::MIN, f64::MIN_POSITIVE, -1.234_567_8e-300, 9_999_999.9, -9_999_999.9] {
            assert!(number(value).len() <= 10, "{}", number(value));
        }
    }

    #[test]
    fn the_scale_follows_the_values() {
        let axis = |values: &[f64]| Axis::of(values.iter().copied());
        assert_eq!(axis(&[f64::NAN, f64::INFINITY]), None);
        assert_eq!(axis(&[1.0, 4.0]).unwrap().scale, Scale::Linear);
        assert_eq!(axis(&[0.0, 400.0]).unwrap().scale, Scale::Linear);
        let wide = axis(&[1e-6, f64::NAN, 1.0]).unwrap();
        assert_eq!(wide.scale, Scale::Logarithmic);
        assert!((wide.place(1e-3) - 0.5).abs() < 1e-12 && (wide.value(0.5) - 1e-3).abs() < 1e-12);
        for values in [&[5.0][..], &[0.0], &[f64::MIN, f64::MAX], &[f64::MAX], &[-1e-300, 1e-300]] {
            let axis = axis(values).unwrap();
            assert!(values.iter().all(|value| (0.0..=1.0).contains(&axis.place(*value))), "{values:?}");
            assert!([0.0, 0.3, 1.0].iter().all(|place| axis.value(*place).is_finite()), "{values:?}");
        }
    }
}
