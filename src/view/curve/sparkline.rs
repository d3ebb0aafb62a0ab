//! A curve in one line of characters.

use super::plot::Charset;

const UNICODE: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: [char; 8] = ['_', '.', ',', '-', '=', '+', '*', '#'];

/// Draws values, one character each; `!` stands for what is no number. Empty without a finite value.
pub fn sparkline(values: &[f64], charset: Charset) -> String {
    let levels = if charset == Charset::Unicode { UNICODE } else { ASCII };
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    if low > high {
        return String::new();
    }
    let level = |value: f64| {
        // Halves cannot overflow.
        let place = (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
        let index = if place.is_finite() { (place * 7.0).round() as usize } else { 0 };
        levels[index.min(7)]
    };
    values.iter().map(|value| if value.is_finite() { level(*value) } else { '!' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_eight_levels() {
        let falling: Vec<f64> = (0..8).map(|n| 8.0 - f64::from(n)).collect();
        assert_eq!(sparkline(&falling, Charset::Unicode), "█▇▆▅▄▃▂▁");
        assert_eq!(sparkline(&[1.0, f64::NAN, 2.0], Charset::Ascii), "_!#");
        assert_eq!(sparkline(&[3.0, 3.0], Charset::Unicode), "▁▁");
        assert_eq!(sparkline(&[f64::MAX, f64::MIN], Charset::Ascii), "#_");
        assert_eq!(sparkline(&[f64::NAN], Charset::Unicode), "");
    }
}
