//! Finds the steps whose outputs templates read, before any template is evaluated.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::lexer;
use super::references::{Scan, Segment};
use super::syntax::{Form, expression_text, form};
use crate::spec::StepSpec;
use stepwell_base::ids::StepId;

/// Steps whose outputs templates read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Named {
    These(BTreeSet<StepId>),
    /// A name is computed: it can be that of any step.
    Any,
}

impl Named {
    /// Steps that the templates of a step read.
    pub fn by_step(spec: &StepSpec) -> Named {
        let mut named = Named::by_table(&spec.with);
        for expression in spec.when.iter().chain(&spec.for_each) {
            named.add(&Scan::of(&lexer::expression(expression_text(expression).0)));
        }
        named
    }

    /// Steps that the templates of a table of values read.
    pub fn by_table(table: &Map<String, Value>) -> Named {
        let mut named = Named::These(BTreeSet::new());
        table.values().for_each(|value| named.add_value(value));
        named
    }

    pub fn includes(&self, step: &StepId) -> bool {
        match self {
            Named::These(steps) => steps.contains(step),
            Named::Any => true,
        }
    }

    fn add_value(&mut self, value: &Value) {
        match value {
            Value::String(text) => match form(text) {
                Form::Literal => {}
                Form::Expression { source, .. } => self.add(&Scan::of(&lexer::expression(source))),
                Form::Mixed => self.add(&Scan::of(&lexer::template(text))),
            },
            Value::Array(items) => items.iter().for_each(|item| self.add_value(item)),
            Value::Object(entries) => entries.values().for_each(|entry| self.add_value(entry)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn add(&mut self, scan: &Scan) {
        for reference in scan.references.iter().filter(|reference| reference.root == "steps") {
            match (reference.path.first(), &mut *self) {
                (Some(Segment::Name(name)), Named::These(steps)) => drop(steps.insert(StepId::from(name.as_str()))),
                (Some(Segment::Name(_)), Named::Any) => {}
                _ => *self = Named::Any,
            }
        }
    }
}

/// Returns the names that the template at `path` of a step's arguments uses, such as `params.lr`; none for a
/// literal. `path` is that of a [`Change`](crate::key::Change).
pub fn behind(with: &Map<String, Value>, path: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let Some(text) = template_at(with.iter().map(|(name, value)| (name.clone(), value)).collect(), path) else {
        return names;
    };
    let scan = match form(text) {
        Form::Literal => return names,
        Form::Expression { source, .. } => Scan::of(&lexer::expression(source)),
        Form::Mixed => Scan::of(&lexer::template(text)),
    };
    for reference in scan.references.iter().filter(|reference| !scan.locals.contains(&reference.root)) {
        let name = reference.to_string();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Returns the text at `path` or above it: a template may stand for a whole list or table.
fn template_at<'a>(entries: Vec<(String, &'a Value)>, path: &str) -> Option<&'a str> {
    entries.into_iter().find_map(|(name, value)| {
        let rest = path.strip_prefix(name.as_str())?;
        match value {
            Value::String(text) if rest.is_empty() || rest.starts_with(['.', '[']) => Some(text.as_str()),
            Value::Array(items) => {
                let items = items.iter().enumerate().map(|(index, item)| (format!("[{index}]"), item));
                template_at(items.collect(), rest)
            }
            Value::Object(entries) => {
                let entries = entries.iter().map(|(name, entry)| (format!(".{name}"), entry));
                template_at(entries.collect(), rest)
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_names_behind_an_argument() {
        let with = json!({
            "argv": ["train", "--lr", "{{ params.lr }}", "x{{ params.lr }}y{{ steps.a.values.n }}", "plain"],
            "optimizer": { "lr": "{{ params.lr * 2 }}" },
            "opt": "{{ params.table }}",
        });
        let behind = |path: &str| behind(with.as_object().unwrap(), path);
        assert_eq!(behind("argv[2]"), ["params.lr"]);
        assert_eq!(behind("argv[3]"), ["params.lr", "steps.a.values.n"]);
        assert_eq!(behind("optimizer.lr"), ["params.lr"]);
        assert_eq!(behind("opt.inner[3]"), ["params.table"], "the table is one template");
        for literal in ["argv[4]", "argv[0]", "argv[20]", "other", "optimize"] {
            assert!(behind(literal).is_empty(), "{literal}");
        }
    }
}
