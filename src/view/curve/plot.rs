//! Puts curves, axes and labels together.

use super::axis::{Axis, Scale, number};
use super::canvas::{Braille, Canvas, Marked, line};
use super::extremes::{Extremes, pieces};

/// The points of a curve in order of x. A y that is no number is a gap.
pub type Points = Vec<(f64, f64)>;

/// Marks of overlaid curves, which also bounds their number.
pub const MARKS: [char; 8] = ['*', 'o', '+', 'x', '#', '@', '%', '&'];

/// Columns that the labels and the line of the y axis take.
const MARGIN: usize = 12;
const FEWEST_COLUMNS: usize = 16;
const FEWEST_ROWS: usize = 4;
/// Rows between two labels of the y axis.
const LABEL_EVERY: usize = 5;

/// Characters of a whole plot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size {
    pub columns: usize,
    pub rows: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Charset {
    Unicode,
    Ascii,
}

impl Charset {
    fn corner(self) -> [char; 4] {
        match self {
            Charset::Unicode => ['┤', '│', '└', '─'],
            Charset::Ascii => ['|', '|', '+', '-'],
        }
    }
}

/// Draws curves over the same axes; `None` if there is nothing finite to draw. Only the first curves get a mark.
pub fn plot(curves: &[Points], size: Size, charset: Charset) -> Option<String> {
    let curves = &curves[..curves.len().min(MARKS.len())];
    let (columns, rows) = (size.columns.saturating_sub(MARGIN).max(FEWEST_COLUMNS), size.rows.max(FEWEST_ROWS));
    let points = || curves.iter().flatten().filter(|(_, y)| y.is_finite());
    let axis = Axis::of(points().map(|(_, y)| *y))?;
    let first = points().map(|(x, _)| *x).fold(f64::INFINITY, f64::min);
    let last = points().map(|(x, _)| *x).fold(f64::NEG_INFINITY, f64::max);
    let mut canvas: Box<dyn Canvas> = match (curves.len(), charset) {
        (0 | 1, Charset::Unicode) => Box::new(Braille::new(columns, rows)),
        _ => Box::new(Marked::new(columns, rows, &MARKS)),
    };
    let (dots, height) = canvas.dots();
    let column = |x: f64| ((x - first) / (last - first).max(f64::MIN_POSITIVE) * (dots - 1) as f64).round() as usize;
    let row = |y: f64| ((1.0 - axis.place(y)) * (height - 1) as f64).round() as usize;
    for (curve, points) in curves.iter().enumerate() {
        for piece in pieces(points, column) {
            draw(&mut *canvas, curve, &piece, row);
        }
    }
    Some(framed(&canvas.lines(), axis, (first, last), charset))
}

fn draw(canvas: &mut dyn Canvas, curve: usize, piece: &[Extremes], row: impl Fn(f64) -> usize) {
    let mut before: Option<&Extremes> = None;
    for here in piece {
        line(canvas, curve, (here.column, row(here.maximum)), (here.column, row(here.minimum)));
        if let Some(before) = before {
            line(canvas, curve, (before.column, row(before.last)), (here.column, row(here.first)));
        }
        before = Some(here);
    }
}

fn framed(lines: &[String], axis: Axis, (first, last): (f64, f64), charset: Charset) -> String {
    let [tick, side, corner, floor] = charset.corner();
    let end = lines.len() - 1;
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        let is_labelled = index == end || index % LABEL_EVERY == 0 && end - index >= LABEL_EVERY / 2;
        let label = if is_labelled { number(axis.value(1.0 - index as f64 / end as f64)) } else { String::new() };
        let side = if is_labelled { tick } else { side };
        text.push_str(format!("{label:>10} {side}{line}").trim_end());
        text.push('\n');
    }
    let columns = lines.first().map_or(0, |line| line.chars().count());
    text.push_str(&format!("{:>11}{corner}{}\n", "", floor.to_string().repeat(columns)));
    let (first, last) = (format!("{first}"), format!("{last}"));
    let scale = match axis.scale {
        Scale::Linear => "training step",
        Scale::Logarithmic => "training step (logarithmic scale)",
    };
    let middle = columns.saturating_sub(first.len() + last.len());
    text.push_str(&format!("{:>12}{first}{scale:^middle$}{last}\n", ""));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Size = Size { columns: 44, rows: 8 };

    fn curve(y: impl Fn(f64) -> f64) -> Points {
        (1..=200).map(|x| (f64::from(x), y(f64::from(x)))).collect()
    }

    #[test]
    fn one_curve_is_drawn_with_dots() {
        let text = plot(&[curve(|x| 4.0 / x.sqrt())], SMALL, Charset::Unicode).unwrap();
        assert_eq!(text, ONE);
    }

    #[test]
    fn several_curves_have_their_marks() {
        let curves = [curve(|x| 4.0 / x.sqrt()), curve(|x| 2.0 + (x / 10.0).sin())];
        let text = plot(&curves, SMALL, Charset::Ascii).unwrap();
        assert_eq!(text, TWO);
    }

    #[test]
    fn gaps_and_odd_values_are_no_trouble() {
        assert_eq!(plot(&[], SMALL, Charset::Ascii), None);
        assert_eq!(plot(&[vec![(1.0, f64::NAN)]], SMALL, Charset::Unicode), None);
        for odd in [
            vec![(1.0, 2.0)],
            vec![(1.0, f64::NAN), (2.0, 1e300), (3.0, -1e300), (4.0, f64::INFINITY)],
            vec![(0.0, 0.0), (9e15, 0.0)],
            vec![(1.0, f64::MAX), (2.0, f64::MIN)],
            vec![(1.0, f64::MIN_POSITIVE), (2.0, 1e300)],
        ] {
            for size in [SMALL, Size { columns: 0, rows: 0 }, Size { columns: 300, rows: 90 }] {
                for charset in [Charset::Unicode, Charset::Ascii] {
                    let text = plot(std::slice::from_ref(&odd), size, charset).unwrap();
                    let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
                    assert!(widest <= size.columns.max(FEWEST_COLUMNS + MARGIN) + 24, "{text}");
                    assert!(charset == Charset::Unicode || text.is_ascii(), "{text}");
                }
            }
        }
    }

    const ONE: &str = "\
\x20        4 ┤⡇\n\
\x20          │⡇\n\
\x20          │⡇\n\
\x20          │⢸\n\
\x20          │⠸⡀\n\
\x20   1.3449 ┤ ⢧\n\
\x20          │ ⠈⠓⢤⣀⡀\n\
\x20   0.2828 ┤     ⠉⠉⠙⠒⠒⠒⠲⠤⠤⠤⠤⠤⠤⠤⠤⠤⢤⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀\n\
\x20          └────────────────────────────────\n\
\x20           1       training step        200\n\
";
    const TWO: &str = "\
\x20        4 |*\n\
\x20          |*\n\
\x20          |*oooo      ooo       ooo      oo\n\
\x20          |*o  o     oo oo     oo oo    oo\n\
\x20          |**   o   oo   oo   oo   oo   o\n\
\x20   1.3449 | **  ooooo     oo oo     ooooo\n\
\x20          |  *****o*       oo        oo\n\
\x20   0.2828 |        ************************\n\
\x20          +--------------------------------\n\
\x20           1       training step        200\n\
";
}
