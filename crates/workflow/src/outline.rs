//! What the file of a workflow says about its params: defaults, types, comments, and titles above groups of params.

use std::ops::Range;

use serde_json::Value;

use crate::diagnostic::{Problems, Span, line_feeds};
use crate::document::{self, Data, Node, Table};

/// One param, as its file describes it.
#[derive(Clone, PartialEq, Debug)]
pub struct Param {
    pub name: String,
    pub default: Value,
    /// `text`, `integer`, `number`, `true/false`, `list` or `table`.
    pub kind: &'static str,
    /// The comment lines above the param or behind it, joined.
    pub comment: String,
    /// The title of its group: the nearest line `## Title` above it in `[params]`.
    pub group: Option<String>,
}

/// Returns the params of a file in their order; none if its syntax is broken.
pub fn params(source: &str) -> Vec<Param> {
    let text = line_feeds(source);
    let mut problems = Problems::new("", &text);
    let Some(root) = document::read(&mut problems) else { return Vec::new() };
    let Some(Node { data: Data::Table(table), .. }) = root.get("params") else { return Vec::new() };
    described(table, &Lines::of(&text))
}

fn described(table: &Table, lines: &Lines<'_>) -> Vec<Param> {
    let mut found = Vec::new();
    let mut group = None;
    let mut from = lines.of_header();
    for (key, node) in &table.entries {
        let (first, last) = (lines.at(key.span.start), lines.at(node.span.end.max(key.span.end).saturating_sub(1)));
        let above = lines.comment(from..first, &mut group);
        let comment = if above.is_empty() { lines.behind(&node.span) } else { above };
        let default = node.to_json();
        let kind = kind(&default);
        found.push(Param { name: key.value.clone(), default, kind, comment, group: group.clone() });
        from = last + 1;
    }
    found
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "text",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::Bool(_) => "true/false",
        Value::Array(_) => "list",
        Value::Object(_) => "table",
        Value::Null => "",
    }
}

/// The lines of a file, by number from 0.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Lines<'a> {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Lines { text, starts }
    }

    fn at(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).saturating_sub(1)
    }

    fn line(&self, number: usize) -> &'a str {
        let Some(start) = self.starts.get(number) else { return "" };
        self.text[*start..].lines().next().unwrap_or_default().trim()
    }

    /// The line after `[params]`; 0 for a file that writes `params.a = 1`.
    fn of_header(&self) -> usize {
        (0..self.starts.len()).find(|number| self.line(*number).starts_with("[params]")).map_or(0, |number| number + 1)
    }

    /// Joins the comment lines that end a range of lines without a blank line between them; a title changes the group.
    fn comment(&self, range: Range<usize>, group: &mut Option<String>) -> String {
        let mut comment: Vec<&str> = Vec::new();
        for number in range {
            let line = self.line(number);
            if let Some(title) = line.strip_prefix("##") {
                *group = Some(title.trim_matches(['#', ' ']).to_owned()).filter(|title| !title.is_empty());
                comment.clear();
            } else if let Some(text) = line.strip_prefix('#') {
                comment.push(text.trim());
            } else {
                comment.clear();
            }
        }
        comment.join(" ").trim().to_owned()
    }

    /// Returns the comment behind a value on its last line.
    fn behind(&self, span: &Span) -> String {
        let rest = self.text.get(span.end..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        rest.trim().strip_prefix('#').unwrap_or_default().trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn comments_titles_defaults_and_types_are_found() {
        let text = "# The file.\nname = \"w\"\n\n[params]\n## Data\n# A file,\n# or a folder.\ncorpus = \"\"\n\n# Not of a param.\n\n\
                    size = 3 # In rows.\nlong = \"\"\"\n# text\n\"\"\"\nplain = 0.5\n\n## Model ##\nshape = { a = 1 }\r\n# Which.\nnames = [\n  \"a\", # one\n]\n\
                    flag = true\n\n[[step]]\nid = \"a\"\nkind = \"noop\"\n";
        let found = params(text);
        let shown: Vec<_> =
            found.iter().map(|p| (p.name.as_str(), p.kind, p.comment.as_str(), p.group.as_deref())).collect();
        assert_eq!(
            shown,
            [
                ("corpus", "text", "A file, or a folder.", Some("Data")),
                ("size", "integer", "In rows.", Some("Data")),
                ("long", "text", "", Some("Data")),
                ("plain", "number", "", Some("Data")),
                ("shape", "table", "", Some("Model")),
                ("names", "list", "Which.", Some("Model")),
                ("flag", "true/false", "", Some("Model")),
            ]
        );
        assert_eq!((&found[1].default, &found[4].default), (&json!(3), &json!({ "a": 1 })));
    }

    #[test]
    fn other_ways_to_write_params_and_broken_files_do_no_harm() {
        assert_eq!(params("name = \"w\"\n# Rate.\nparams.lr = 0.1\n")[0].comment, "Rate.");
        assert_eq!(params("params = { a = 1, b = 2 }\n").len(), 2);
        let below = params("[params]\na = 1\n# A table.\n[params.t]\nb = 2\n");
        assert_eq!((below[1].name.as_str(), below[1].kind), ("t", "table"));
        assert_eq!(params("[params\n"), []);
        assert_eq!(params(""), []);
    }
}
