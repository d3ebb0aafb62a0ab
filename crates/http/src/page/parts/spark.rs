//! A small chart that the server draws: one line without axes, next to a sentence that says the same.

/// Size of the drawing, in its own units.
const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 48.0;

/// The `d` of a path through some points; `low` is the value at the bottom, unless a point is lower.
pub fn spark(points: &[(f64, f64)], low: f64) -> String {
    let finite: Vec<(f64, f64)> = points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let (Some(first), Some(last)) = (finite.first(), finite.last()) else { return String::new() };
    let low = finite.iter().map(|point| point.1).fold(low, f64::min);
    let high = finite.iter().map(|point| point.1).fold(low, f64::max);
    let (wide, tall) = (last.0 - first.0, high - low);
    // A margin keeps the ends of the line inside.
    let place = |(x, y): (f64, f64)| {
        let across = if wide > 0.0 { (x - first.0) / wide * WIDTH } else { 0.0 };
        let up = if tall > 0.0 { (y - low) / tall } else { 0.5 };
        format!("{across:.1} {:.1}", HEIGHT - 2.0 - up * (HEIGHT - 4.0))
    };
    let mut path = String::new();
    for (index, point) in finite.iter().enumerate() {
        path.push(if index == 0 { 'M' } else { 'L' });
        path.push_str(&place(*point));
    }
    // One point is a dot as wide as the drawing.
    if finite.len() == 1 {
        path.push_str(&format!("h{WIDTH}"));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fills_its_drawing() {
        assert_eq!(spark(&[(0.0, 0.0), (5.0, 10.0), (10.0, 5.0)], 0.0), "M0.0 46.0L120.0 2.0L240.0 24.0");
        assert_eq!(spark(&[(3.0, 7.0)], 7.0), "M0.0 24.0h240");
        assert_eq!(spark(&[(3.0, f64::NAN)], 0.0), "");
        assert_eq!(spark(&[(0.0, 50.0), (1.0, 100.0)], 100.0), "M0.0 46.0L240.0 2.0");
    }
}
