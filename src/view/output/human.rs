//! Formats text that people read.

use std::path::Path;

use comfy_table::presets;
use comfy_table::{ContentArrangement, Table};
use jiff::Timestamp;

use stepwell_base::ids::RunId;
use stepwell_base::visible::visible_line;

/// An aligned table without lines, like those of `kubectl` and `git`; one line per row.
pub fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(|cell| cell.to_uppercase()));
    for row in rows {
        debug_assert_eq!(row.len(), header.len(), "a cell for each column: {row:?}");
        table.add_row(row.iter().map(|cell| visible_line(cell)));
    }
    table.lines().map(|line| line.trim().to_owned() + "\n").collect()
}

/// Like [`table`], without a header; a row may be empty or shorter than others.
pub fn grid(rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    for row in rows {
        table.add_row(row.iter().map(|cell| visible_line(cell)));
    }
    table.lines().map(|line| line.trim_end().strip_prefix(' ').unwrap_or_default().to_owned() + "\n").collect()
}

/// A path in a document for scripts. JSON has no text for a path that is not UTF-8, so such a path is shown lossily.
pub fn shown_path(path: &Path) -> String {
    path.display().to_string()
}

/// A run id for a table.
pub fn short_id(run: RunId) -> String {
    run.short()
}

/// Time from `start` to `end` (or to now), such as `3m 12s`.
pub fn since(start: Option<Timestamp>, end: Option<Timestamp>) -> String {
    let Some(start) = start else { return String::new() };
    let seconds = (end.unwrap_or_else(Timestamp::now) - start).total(jiff::Unit::Second).unwrap_or(0.0).max(0.0);
    duration(seconds)
}

/// A duration such as `3.2s`, `3m 12s` or `2h 01m`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..10 => format!("{seconds:.1}s"),
        10..60 => format!("{whole}s"),
        60..3600 => format!("{}m {:02}s", whole / 60, whole % 60),
        _ => format!("{}h {:02}m", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_one_line_for_each_row() {
        let rows = vec![vec!["a\nb\x1b[2J".to_owned(), "c\r".to_owned()], vec!["d".to_owned(), "e".to_owned()]];
        let text = table(&["x", "y"], rows);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.contains("a\\nb\\x1b[2J"), "{text}");
    }

    #[test]
    fn a_grid_has_one_line_for_each_row_and_no_control_characters() {
        let rows = vec![vec!["a\nb\x1b[2J".to_owned(), "c".to_owned()], Vec::new(), vec!["d".to_owned()]];
        let text = grid(rows);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.starts_with("a\\nb\\x1b[2J "), "{text}");
    }

    #[test]
    fn short_ids_of_one_millisecond_differ() {
        let ids = ["01a22ad7-3f0d-7097-a15c-630001d33547", "01a22ad7-3f0d-7098-a15c-630101d33547"];
        assert_eq!(ids.map(|id| short_id(id.parse().unwrap())), ["630001d3", "630101d3"]);
    }

    #[test]
    fn durations_are_short() {
        assert_eq!(duration(3.25), "3.2s");
        assert_eq!(duration(192.0), "3m 12s");
        assert_eq!(duration(7_260.0), "2h 01m");
    }
}
