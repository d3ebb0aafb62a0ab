//! The report as one HTML file, which needs nothing else: no network, no scripts, no other files.

use std::fmt::Write;

use super::cell::Quantiles;
use super::report::{Best, Cell};
use stepwell_base::amount;
use stepwell_base::visible::visible_line;

const HEAD: &str = concat!(
    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; ",
    "base-uri 'none'; form-action 'none'\">\n",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
    "<meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<style>\n",
    include_str!("style.css"),
    "</style>\n"
);

const COLUMNS: &[&str] = &[
    "Model",
    "Weights",
    "Batch",
    "At once",
    "Tokens/s",
    "Requests/s",
    "First text",
    "Answer",
    "Memory",
    "Load",
    "Failed",
];

pub(super) fn page(title: &str, cells: &[Cell], best: &Best<'_>) -> String {
    let title = if title.is_empty() { "Matrix of measurements" } else { title };
    let title = text(title);
    let mut page = format!("{HEAD}<title>{title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n");
    let mut add = |line: String| {
        page.push_str(&line);
        page.push('\n');
    };
    add(summary(cells, best));
    add("<h2>Cells</h2>\n<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Table of cells\">".to_owned());
    add(format!(
        "<table>\n<thead><tr>{}</tr></thead>\n<tbody>",
        each(COLUMNS, |name| format!("<th scope=\"col\">{name}</th>"))
    ));
    let most = cells.iter().map(|cell| cell.measured.tokens_per_second).fold(0.0, f64::max);
    for cell in cells {
        add(row(cell, most, best.fastest == Some(cell)));
    }
    add("</tbody>\n</table>\n</div>".to_owned());
    add("<p class=\"quiet\">Times are the median and, in brackets, the 99th percentile, in seconds. Memory is the largest of \
         the process, with the weights.</p>"
        .to_owned());
    add(failures(cells));
    page.push_str("</body>\n</html>\n");
    page
}

fn summary(cells: &[Cell], best: &Best<'_>) -> String {
    let facts = [
        ("Fastest", best.fastest.map(|cell| (cell, format!("{:.1} tokens/s", cell.measured.tokens_per_second)))),
        (
            "Shortest answers",
            best.quickest.map(|cell| (cell, format!("99 % within {} s", seconds(cell.measured.latency_seconds.p99)))),
        ),
        ("Least memory", best.smallest.map(|cell| (cell, memory(cell)))),
    ];
    let mut out = format!("<p>{} cells.</p>\n<dl>", cells.len());
    for (name, found) in facts {
        let told = found.map_or_else(
            || "no cell answered all its requests".to_owned(),
            |(cell, figure)| format!("<strong>{figure}</strong> with {}", named(cell)),
        );
        let _ = write!(out, "<dt>{name}</dt><dd>{told}</dd>");
    }
    out + "</dl>"
}

fn named(cell: &Cell) -> String {
    let setting = &cell.setting;
    let (batch, concurrency) = (setting.batch, setting.concurrency);
    format!("{} in {}, batch {batch}, {concurrency} at once", text(setting.name()), setting.dtype.as_str())
}

fn row(cell: &Cell, most: f64, is_best: bool) -> String {
    let (setting, measured) = (&cell.setting, &cell.measured);
    let share = if most > 0.0 { 100.0 * measured.tokens_per_second / most } else { 0.0 };
    let bar = format!(
        "<svg class=\"bar\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect width=\"{share:.1}\" height=\"6\"/></svg>"
    );
    let star = if is_best { " <span class=\"best\">best</span>" } else { "" };
    let cells = [
        setting.dtype.as_str().to_owned(),
        setting.batch.to_string(),
        setting.concurrency.to_string(),
        format!("{:.1}{star}{bar}", measured.tokens_per_second),
        format!("{:.2}", measured.requests_per_second),
        times(&measured.first_token_seconds),
        times(&measured.latency_seconds),
        memory(cell),
        seconds(measured.load_seconds),
        if measured.failed > 0 { format!("<span class=\"bad\">{}</span>", measured.failed) } else { "0".to_owned() },
    ];
    let class = if is_best { " class=\"chosen\"" } else { "" };
    let name = format!("<th scope=\"row\" title=\"{}\">{}</th>", text(&setting.model), text(setting.name()));
    format!("<tr{class}>{name}{}</tr>", each(&cells, |cell| format!("<td>{cell}</td>")))
}

fn failures(cells: &[Cell]) -> String {
    let failed: Vec<&Cell> = cells.iter().filter(|cell| cell.measured.failed > 0).collect();
    if failed.is_empty() {
        return "<p>No request failed.</p>".to_owned();
    }
    let mut out = "<h2>Failures</h2>\n<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Cell</th>\
         <th scope=\"col\">Category</th><th scope=\"col\">Requests</th><th scope=\"col\">First reason</th></tr></thead>\n<tbody>\n"
        .to_owned();
    for cell in failed {
        let why = cell.measured.error.as_deref().unwrap_or_default();
        for (code, count) in &cell.measured.failures {
            let (cell, code, why) = (named(cell), text(code), text(why));
            let _ =
                writeln!(out, "<tr><th scope=\"row\">{cell}</th><td>{code}</td><td>{count}</td><td>{why}</td></tr>");
        }
    }
    out + "</tbody>\n</table></div>"
}

fn times(quantiles: &Quantiles) -> String {
    format!("{} ({})", seconds(quantiles.p50), seconds(quantiles.p99))
}

fn seconds(value: f64) -> String {
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

fn memory(cell: &Cell) -> String {
    cell.measured.peak_memory_bytes.map_or_else(|| "not known".to_owned(), amount::about)
}

fn each<T>(items: &[T], write: impl Fn(&T) -> String) -> String {
    items.iter().map(write).collect()
}

/// Text from outside as the content of an element or of an attribute.
fn text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for character in visible_line(raw).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}
