//! One workflow on one screen: its params by group, with defaults, types and comments, and its steps in order.

use serde_json::Value;

use stepwell_workflow::catalog::Catalog;
use stepwell_workflow::outline::Param;
use stepwell_workflow::spec::{StepSpec, WorkflowSpec};

/// Width of a screen in columns.
const WIDTH: usize = 110;
/// Most params and steps to show; the file has the rest.
const MOST_PARAMS: usize = 60;
const MOST_STEPS: usize = 25;
/// Widest default in columns; longer ones are cut.
const WIDEST_DEFAULT: usize = 24;

/// Formats the page. `from` is the origin of the file, `source` a command that prints it.
pub fn page(spec: &WorkflowSpec, params: &[Param], from: &str, source: &str, catalog: &Catalog) -> String {
    let mut text = format!("{}: {}\n", spec.name, first_line(&spec.description));
    text.push_str(&format!("from {from}; {source} prints the file\n"));
    text.push_str(&param_lines(params));
    text.push_str(&step_lines(&spec.steps, catalog));
    text
}

fn param_lines(params: &[Param]) -> String {
    if params.is_empty() {
        return "\nno params\n".to_owned();
    }
    let shown = &params[..params.len().min(MOST_PARAMS)];
    let defaults: Vec<String> = shown.iter().map(|param| cut(&toml(&param.default), WIDEST_DEFAULT)).collect();
    let names = widest(shown.iter().map(|param| param.name.as_str()));
    let values = widest(defaults.iter().map(String::as_str));
    let kinds = widest(shown.iter().map(|param| param.kind));
    let mut text = "\nPARAMS: -S NAME=VALUE sets one\n".to_owned();
    let mut group = None;
    for (param, default) in shown.iter().zip(&defaults) {
        if param.group != group {
            group.clone_from(&param.group);
            text.push_str(&format!("\n{}\n", group.as_deref().unwrap_or("Others")));
        }
        let row = format!("  {:names$}  {default:values$}  {:kinds$}  ", param.name, param.kind);
        let indent = row.chars().count();
        let comment = wrapped(&param.comment, WIDTH.saturating_sub(indent).max(30));
        text.push_str(row.trim_end_matches(' '));
        if let Some(first) = comment.first() {
            text.push_str(&" ".repeat(indent - row.trim_end_matches(' ').chars().count()));
            text.push_str(first);
        }
        text.push('\n');
        text.extend(comment.iter().skip(1).map(|line| format!("{}{line}\n", " ".repeat(indent))));
    }
    text.push_str(&rest(params.len(), MOST_PARAMS, "params"));
    text
}

fn step_lines(steps: &[StepSpec], catalog: &Catalog) -> String {
    let shown = &steps[..steps.len().min(MOST_STEPS)];
    let ids = widest(shown.iter().map(|step| step.id.as_str()));
    let kinds = widest(shown.iter().map(|step| step.kind.as_str()));
    let mut text = "\nSTEPS, in order\n\n".to_owned();
    for step in shown {
        let summary = catalog.get(&step.kind).map_or("", |info| info.summary);
        let mut row = format!("  {:ids$}  {:kinds$}  {summary}", step.id.as_str(), step.kind);
        if let Some(items) = &step.for_each {
            row.push_str(&format!("; once per item of {}", first_line(items)));
        }
        if let Some(condition) = &step.when {
            row.push_str(&format!("; when {}", first_line(condition)));
        }
        text.push_str(&cut(row.trim_end(), WIDTH));
        text.push('\n');
    }
    text.push_str(&rest(steps.len(), MOST_STEPS, "steps"));
    text
}

fn rest(count: usize, most: usize, what: &str) -> String {
    match count.saturating_sub(most) {
        0 => String::new(),
        more => format!("  and {more} more {what}\n"),
    }
}

fn widest<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}

fn first_line(text: &str) -> &str {
    text.trim().lines().next().unwrap_or_default()
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(3)).chain("...".chars()).collect(),
    }
}

/// Formats a value as TOML on one line.
pub fn toml(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entries: Vec<String> = entries.iter().map(|(key, entry)| format!("{key} = {}", toml(entry))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        scalar => scalar.to_string(),
    }
}

/// Breaks a text into lines at spaces.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut().filter(|line| line.chars().count() + 1 + word.chars().count() <= width) {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwell_workflow::outline;
    use stepwell_workflow::parse::{NoLibrary, workflow};

    fn shown(text: &str) -> String {
        let catalog = stepwell_steps::catalog();
        let spec = workflow(text, "w.toml", &[], &catalog, &NoLibrary).unwrap();
        page(&spec, &outline::params(text), "w.toml", "`x`", &catalog)
    }

    #[test]
    fn a_page_has_groups_defaults_types_comments_and_steps() {
        let text = "name = \"w\"\ndescription = \"Counts\"\n[params]\nseed = 1\n## Data\n# A file, a folder, or a glob; a long comment that does not fit \
                    into what is left of one line of the screen, so that it continues on a second one, below its beginning.\ncorpus = \"\"\n# Peak.\nlr = 2e-3\n\
                    names = [\"a\", \"b\", \"cccccccccccccccccccc\"]\n[[step]]\nid = \"one\"\nkind = \"noop\"\n[[step]]\nid = \"each\"\nkind = \"noop\"\n\
                    for_each = \"params.names\"\nwhen = \"params.seed > 0\"\n";
        let expected = r#"w: Counts
from w.toml; `x` prints the file

PARAMS: -S NAME=VALUE sets one
  seed    1                         integer

Data
  corpus  ""                        text     A file, a folder, or a glob; a long comment that does not fit
                                             into what is left of one line of the screen, so that it continues
                                             on a second one, below its beginning.
  lr      0.002                     number   Peak.
  names   ["a", "b", "ccccccccc...  list

STEPS, in order

  one   noop  gives back the values it was given
  each  noop  gives back the values it was given; once per item of params.names; when params.seed > 0
"#;
        assert_eq!(shown(text), expected, "{}", shown(text));
    }

    #[test]
    fn a_workflow_of_any_size_is_one_screen() {
        let params: String = (0..2000).map(|index| format!("p{index} = {index}\n")).collect();
        let steps: String = (0..2000).map(|index| format!("[[step]]\nid = \"s{index}\"\nkind = \"noop\"\n")).collect();
        let text = shown(&format!("name = \"w\"\n[params]\n{params}{steps}"));
        assert!(text.lines().count() < 110, "{}", text.lines().count());
        assert!(text.contains("and 1940 more params") && text.contains("and 1975 more steps"), "{text}");
    }

    #[cfg(feature = "train")]
    #[test]
    fn the_embedded_workflows_fit_on_a_screen_and_explain_every_param() {
        for (name, text) in crate::drive::workflow_source::EMBEDDED {
            let lines = shown(text).lines().count();
            assert!(lines <= 80, "{name}: {lines} lines");
            for param in outline::params(text) {
                assert!(!param.comment.is_empty(), "{name}: `{}` has no comment", param.name);
            }
        }
    }
}
