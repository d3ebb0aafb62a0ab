//! A chart as SVG: lines, axes, and marks where something happened.

use super::markup::Markup;
use super::scale::Scale;
use super::thin::Point;

const LEFT: f64 = 58.0;
const RIGHT: f64 = 22.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 32.0;

/// How much of the page a chart takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Size {
    /// The whole width of a large screen; a phone shows [`Size::Instead`].
    Large,
    /// In place of a large chart.
    Instead,
    /// One of two columns.
    Small,
}

impl Size {
    fn width_and_height(self) -> (f64, f64) {
        match self {
            Size::Large => (960.0, 320.0),
            Size::Small | Size::Instead => (460.0, 210.0),
        }
    }

    fn class(self) -> &'static str {
        match self {
            Size::Large => "broad",
            Size::Instead => "narrow",
            Size::Small => "plain",
        }
    }
}

/// How values are spread over the y axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Spread {
    Linear,
    /// Logarithmic if that shows more.
    Fitting,
}

/// Kinds of lines that style sheets tell apart by colour and by dashes.
pub(super) const LINE_STYLES: usize = 8;

pub(super) struct Line {
    pub(super) label: String,
    /// Below [`LINE_STYLES`].
    pub(super) style: usize,
    pub(super) pieces: Vec<Vec<Point>>,
}

/// Something that happened at a training step.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Mark {
    pub(super) train_step: u64,
    /// `resume`, `fork` or `phase`.
    pub(super) kind: &'static str,
    pub(super) label: String,
}

/// Draws lines over the same axes; false if there is nothing to draw.
pub(super) fn draw(
    page: &mut Markup,
    (name, size, spread): (&str, Size, Spread),
    lines: &[Line],
    marks: &[Mark],
) -> bool {
    let (width, height) = size.width_and_height();
    let points = || lines.iter().flat_map(|line| line.pieces.iter().flatten());
    let Some(values) = Scale::of(points().map(|(_, value)| *value), spread) else { return false };
    let first = points().map(|(step, _)| *step).min().unwrap_or(0);
    let last = points().map(|(step, _)| *step).max().unwrap_or(1);
    let steps = Scale::of_steps(first, last);
    let x = |step: f64| LEFT + steps.place(step) * (width - LEFT - RIGHT);
    let y = |value: f64| TOP + (1.0 - values.place(value)) * (height - TOP - BOTTOM);
    let view_box = format!("0 0 {width} {height}");
    let logarithmic = if values.is_logarithmic() { ", on a logarithmic scale" } else { "" };
    let label = format!("{name} over training steps {first} to {last}{logarithmic}");
    page.within(
        "svg",
        &[("viewBox", &view_box), ("class", &size.class()), ("role", &"img"), ("aria-label", &label)],
        |svg| {
            for (value, label) in values.ticks() {
                let at = format!("{:.1}", y(value));
                svg.open(
                    "line",
                    &[("class", &"grid"), ("x1", &LEFT), ("x2", &(width - RIGHT)), ("y1", &at), ("y2", &at)],
                );
                svg.constant("</line>");
                let below = format!("{:.1}", y(value) + 4.0);
                svg.element("text", &[("class", &"tick y"), ("x", &(LEFT - 8.0)), ("y", &below)], &label);
            }
            for (step, label) in steps.ticks() {
                let at = format!("{:.1}", x(step));
                svg.element("text", &[("class", &"tick x"), ("x", &at), ("y", &(height - BOTTOM + 20.0))], &label);
            }
            for mark in marks.iter().filter(|mark| (first..last).contains(&mark.train_step)) {
                let (at, class) = (format!("{:.1}", x(mark.train_step as f64)), format!("mark {}", mark.kind));
                let ends = [("x1", at.as_str()), ("x2", at.as_str())];
                let bottom = height - BOTTOM;
                svg.within(
                    "line",
                    &[
                        ("class", &class),
                        (ends[0].0, &ends[0].1),
                        (ends[1].0, &ends[1].1),
                        ("y1", &TOP),
                        ("y2", &bottom),
                    ],
                    |line| line.element("title", &[], &mark.label),
                );
            }
            for line in lines {
                let class = format!("curve s{}", line.style % LINE_STYLES);
                for piece in &line.pieces {
                    svg.within("path", &[("class", &class), ("d", &path(piece, x, y))], |path| {
                        path.element("title", &[], &line.label);
                    });
                }
            }
        },
    );
    true
}

/// The path of a piece; a single point becomes a dot.
fn path(points: &[Point], x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) -> String {
    let mut path = String::new();
    for (index, (step, value)) in points.iter().enumerate() {
        let start = if index == 0 { 'M' } else { 'L' };
        path.push_str(&format!("{start}{:.1} {:.1}", x(*step as f64), y(*value)));
    }
    if points.len() == 1 {
        path.push_str("h0.1");
    }
    path
}
