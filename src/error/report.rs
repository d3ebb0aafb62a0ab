//! Reports of wrong files and arguments: source lines, carets, and everything that is wrong at once.

use serde_json::{Value, json};

use stepwell_base::visible::visible;
use stepwell_workflow::diagnostic::{Color, SpecErrors};

/// Width in columns.
const WIDTH: usize = 110;

#[derive(Debug)]
pub enum Report {
    Workflow(SpecErrors),
    Settings(SpecErrors),
    Arguments(clap::Error),
}

impl Report {
    pub fn render(&self, color: Color) -> String {
        match self {
            Report::Workflow(errors) | Report::Settings(errors) => errors.render(color, WIDTH),
            Report::Arguments(error) => clap_text(error, color),
        }
    }

    /// The first problems and their total number; `None` for anything but a workflow.
    pub fn problems(&self) -> Option<Value> {
        let Report::Workflow(errors) = self else { return None };
        let first = errors.first().iter().map(|problem| {
            let (line, column) = problem.position().unzip();
            json!({ "message": problem.message(), "hint": problem.hint_text(), "line": line, "column": column })
        });
        Some(json!({
            "file": errors.file(), "count": errors.problems().len(), "first": first.collect::<Vec<_>>(),
        }))
    }
}

/// The text of clap's error, help or version.
pub fn clap_text(error: &clap::Error, color: Color) -> String {
    let text = error.render();
    match color {
        Color::Ansi => text.ansi().to_string(),
        Color::Plain => visible(&text.to_string()).into_owned(),
    }
}
