//! Charts of series: one for each name, with the curves of all runs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::chart::{LINE_STYLES, Line, Mark, Size, Spread, draw};
use super::markup::Markup;
use super::subject::{Subject, section};
use super::thin::{Column, Thinner};
use crate::error::CliError;
use crate::view::curve::number;
use crate::view::series::{Lineage, each_row, sources};
use crate::view::words::count;
use stepwell_base::ids::{RunId, StepId};
use stepwell_run::run_options::Origin;
use stepwell_store::{Reader, StoreError};

/// Most series of all runs, and charts.
const MOST_SERIES: usize = 20;
const MOST_CHARTS: usize = 24;
/// Most curves of one group, such as the layers of a model.
const MOST_OF_GROUP: usize = LINE_STYLES;
/// Most marks of a chart.
const MOST_MARKS: usize = 40;

/// Names in the order in which people read them; others come between the two.
const FIRST: [&str; 3] = ["loss", "val_loss", "val_bits_per_byte"];
const LAST: [&str; 6] = ["learning_rate", "grad_norm", "tokens_per_second", "mfu", "data_wait_seconds", "memory_bytes"];
/// Schedules are easier to recognise on a linear scale.
const LEARNING_RATE: &str = "learning_rate";
/// Says nothing that the x axis does not say.
const LEFT_OUT: &str = "tokens_so_far";

struct Series {
    label: String,
    columns: BTreeMap<String, Column>,
    marks: Vec<Mark>,
    /// The run whose rows at the start are gone.
    pruned: Option<RunId>,
}

pub(super) fn write(page: &mut Markup, subject: &Subject<'_>) -> Result<(), CliError> {
    let (series, left_out) = load(subject)?;
    if series.is_empty() {
        return Ok(());
    }
    section(page, "curves", "Curves", |section| {
        section.within("div", &[("class", &"charts")], |grid| {
            for (index, chart) in charts(&series).iter().take(MOST_CHARTS).enumerate() {
                let size = if index == 0 { Size::Large } else { Size::Small };
                write_chart(grid, chart, size, &series);
            }
        });
        let charts = charts(&series).len().saturating_sub(MOST_CHARTS);
        if charts > 0 {
            section.element(
                "p",
                &[],
                &format!("and {}, in `stepwell metrics --csv`", count(charts as u64, "more name")),
            );
        }
        if left_out > 0 {
            section.element("p", &[], &format!("and {left_out} more series, in `stepwell metrics --csv`"));
        }
        for Series { label, pruned, .. } in &series {
            if let Some(run) = pruned {
                let text = format!("{label}: earlier rows are gone, because run {} was removed", run.short());
                section.element("p", &[("class", &"quiet")], &text);
            }
        }
    });
    Ok(())
}

fn load(subject: &Subject<'_>) -> Result<(Vec<Series>, usize), CliError> {
    let (mut loaded, mut left_out) = (Vec::new(), 0);
    let runs = subject.compared.runs.len();
    for (side, name) in subject.compared.runs.iter().zip(subject.names()) {
        let forked = match &side.run.options.origin {
            Some(Origin::Fork { at, train_step: Some(_), .. }) => Some(at),
            _ => None,
        };
        let steps = subject.reader.series_steps(side.run.id, forked)?;
        // Every run gets its share, whatever the others have.
        let share = (MOST_SERIES / runs).max(1).min(MOST_SERIES - loaded.len().min(MOST_SERIES));
        left_out += steps.len().saturating_sub(share);
        for step in steps.iter().take(share) {
            let label = if steps.len() == 1 && runs > 1 { name.clone() } else { format!("{name} {}", step.id) };
            loaded.push(of_step(subject.reader, side.run.id, &step.id, label)?);
        }
    }
    Ok((loaded, left_out))
}

fn of_step(reader: &Reader, run: RunId, step: &StepId, label: String) -> Result<Series, CliError> {
    let lineage = sources(reader, run, step)?;
    let (mut first, mut last) = (u64::MAX, 0);
    for part in &lineage.parts {
        first = first.min(reader.measured_from(part.run, &part.step)?.unwrap_or(u64::MAX));
        let newest = reader.measured_up_to(part.run, &part.step)?.unwrap_or(0);
        last = last.max(part.up_to.map_or(newest, |up_to| up_to.min(newest)));
    }
    let mut thinner = Thinner::new(first, last);
    each_row(reader, &lineage.parts, None, u64::MAX, |row| {
        thinner.push(row);
        Ok::<_, StoreError>(ControlFlow::Continue(()))
    })?;
    let marks = marks(reader, &lineage)?;
    Ok(Series { label, columns: thinner.finish(), marks, pruned: lineage.pruned.map(|(run, _)| run) })
}

/// Where attempts resumed, where the run was forked, and where phases ended.
fn marks(reader: &Reader, lineage: &Lineage) -> Result<Vec<Mark>, StoreError> {
    let mut marks = Vec::new();
    for part in &lineage.parts {
        let is_in = |train_step: u64| part.up_to.is_none_or(|up_to| train_step <= up_to);
        for (attempt, train_step) in reader.attempt_starts(part.run, &part.step)?.into_iter().skip(1) {
            let label = format!("resumed: attempt {attempt} from step {train_step}");
            marks.extend(is_in(train_step).then_some(Mark { train_step, kind: "resume", label }));
        }
        for row in reader.checkpoints(part.run, &part.step)?.iter().filter(|row| row.checkpoint.permanent) {
            let (Some(phase), Some(train_step)) = (&row.checkpoint.phase, row.checkpoint.last_step) else { continue };
            let label = format!("end of phase {phase}, step {train_step}");
            marks.extend(is_in(train_step).then_some(Mark { train_step, kind: "phase", label }));
        }
        if let Some(train_step) = part.up_to {
            let label = format!("forked from run {} at step {train_step}", part.run.short());
            marks.push(Mark { train_step, kind: "fork", label });
        }
    }
    marks.sort_by_key(|mark| mark.train_step);
    let more = marks.len().saturating_sub(MOST_MARKS);
    marks.drain(..more);
    Ok(marks)
}

/// A chart: its title, and the names of the series that are drawn.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Chart {
    title: String,
    names: Vec<String>,
}

fn charts(series: &[Series]) -> Vec<Chart> {
    let names: BTreeSet<&str> = series.iter().flat_map(|series| series.columns.keys().map(String::as_str)).collect();
    let mut charts: Vec<Chart> = Vec::new();
    let mut plain: Vec<&str> = Vec::new();
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in names.into_iter().filter(|name| *name != LEFT_OUT) {
        match name.split_once('/') {
            Some((group, _)) => groups.entry(group).or_default().push(name),
            None => plain.push(name),
        }
    }
    plain.sort_by_key(|name| rank(name));
    // One run: the two losses belong together.
    if series.len() == 1 && plain.starts_with(&["loss", "val_loss"]) {
        plain.drain(..2);
        charts.push(Chart { title: "loss".to_owned(), names: vec!["loss".to_owned(), "val_loss".to_owned()] });
    }
    charts.extend(plain.iter().map(|name| Chart { title: name.replace('_', " "), names: vec![(*name).to_owned()] }));
    for (group, mut names) in groups {
        names.sort_by_key(|name| natural(name));
        // The first, the last, and some between.
        let shown = names.len().min(MOST_OF_GROUP);
        let some = (0..shown).map(|index| names[index * (names.len() - 1) / (shown - 1).max(1)].to_owned());
        charts.push(Chart { title: group.replace('_', " "), names: some.collect() });
    }
    charts
}

fn rank(name: &str) -> (usize, &str) {
    if let Some(at) = FIRST.iter().position(|first| *first == name) {
        return (at, name);
    }
    (LAST.iter().position(|last| *last == name).map_or(FIRST.len(), |at| FIRST.len() + 1 + at), name)
}

/// Sorts `layer.2` before `layer.10`.
fn natural(name: &str) -> (String, u64) {
    let letters = name.trim_end_matches(|character: char| character.is_ascii_digit());
    (letters.to_owned(), name[letters.len()..].parse().unwrap_or(0))
}

fn write_chart(page: &mut Markup, chart: &Chart, size: Size, series: &[Series]) {
    let (mut lines, mut rows, mut marks) = (Vec::new(), Vec::new(), Vec::new());
    for name in &chart.names {
        for one in series {
            let Some(column) = one.columns.get(name) else { continue };
            let label = match (chart.names.len(), series.len()) {
                (1, _) => one.label.clone(),
                (_, 1) => name.clone(),
                _ => format!("{} {name}", one.label),
            };
            rows.push(row(&label, column));
            lines.push(Line { label, style: lines.len() % LINE_STYLES, pieces: column.pieces() });
            if series.len() == 1 && marks.is_empty() {
                marks.extend(one.marks.iter().filter(|mark| mark.train_step < column.last_step()).cloned());
            }
        }
    }
    let spread = if chart.names[0] == LEARNING_RATE { Spread::Linear } else { Spread::Fitting };
    let class = if size == Size::Large { "chart large" } else { "chart" };
    page.within("figure", &[("class", &class)], |figure| {
        figure.within("figcaption", &[], |caption| {
            caption.text(&chart.title);
            caption.element("span", &[("class", &"quiet")], " over training steps");
        });
        if !draw(figure, (&chart.title, size, spread), &lines, &marks) {
            figure.element("p", &[], "There is no number to draw.");
        } else if size == Size::Large {
            draw(figure, (&chart.title, Size::Instead, spread), &lines, &marks);
        }
        legend(figure, &lines, &marks);
        figure.within("details", &[], |details| {
            details.element("summary", &[], "Numbers");
            details.table(&["series", "rows", "first", "last", "lowest", "at step", "no number"], &rows);
        });
    });
}

fn row(label: &str, column: &Column) -> Vec<String> {
    let (lowest, at) = column.minimum.map_or_else(Default::default, |(at, value)| (number(value), at.to_string()));
    let not = if column.not_numbers > 0 { column.not_numbers.to_string() } else { String::new() };
    vec![label.to_owned(), column.rows.to_string(), number(column.first), number(column.last), lowest, at, not]
}

fn legend(page: &mut Markup, lines: &[Line], marks: &[Mark]) {
    let kinds: BTreeSet<&str> = marks.iter().map(|mark| mark.kind).collect();
    if lines.len() < 2 && kinds.is_empty() {
        return;
    }
    page.within("ul", &[("class", &"legend")], |list| {
        for line in lines.iter().filter(|_| lines.len() > 1) {
            list.within("li", &[], |item| {
                item.within("svg", &[("viewBox", &"0 0 28 8"), ("aria-hidden", &"true")], |svg| {
                    let class = format!("curve s{}", line.style);
                    svg.open("path", &[("class", &class), ("d", &"M1 4h26")]);
                    svg.constant("</path>");
                });
                item.text(&line.label);
            });
        }
        for kind in kinds {
            let text = match kind {
                "resume" => "resumed from a checkpoint",
                "fork" => "forked",
                _ => "end of a phase",
            };
            list.within("li", &[], |item| {
                item.within("svg", &[("viewBox", &"0 0 28 8"), ("aria-hidden", &"true")], |svg| {
                    let class = format!("mark {kind}");
                    svg.open("path", &[("class", &class), ("d", &"M1 4h26")]);
                    svg.constant("</path>");
                });
                item.text(text);
            });
        }
    });
}
