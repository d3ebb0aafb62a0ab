//! Finds the place of an argument in a workflow file, for problems that are found after parsing.

use crate::diagnostic::{Problems, Span, line_feeds};
use crate::document::{self, Data, Node};
use crate::draft::{Draft, StepDraft};

/// Places of the steps of one file.
pub struct Places(Vec<StepDraft>);

impl Places {
    /// Reads a file that was parsed without problems.
    pub fn of(source: &str) -> Places {
        let mut problems = Problems::new("", &line_feeds(source));
        let table = document::read(&mut problems);
        Places(table.map(|table| Draft::read(&table, &mut problems).steps).unwrap_or_default())
    }

    /// The place of an argument such as `cwd` or `argv[1]`, or of the key `for_each`; without that, the kind of the step.
    pub fn find(&self, step: &str, argument: &str) -> Option<Span> {
        let step = self.0.iter().find(|known| known.id.as_ref().is_some_and(|id| id.value == step))?;
        if argument == "for_each" {
            return step.for_each.as_ref().map(|expression| expression.span.clone());
        }
        let (name, index) = match argument.split_once('[') {
            Some((name, index)) => (name, index.trim_end_matches(']').parse::<usize>().ok()),
            None => (argument, None),
        };
        let node = step.with.get(name);
        let place = match (node, index) {
            (Some(Node { data: Data::List(items), .. }), Some(index)) => items.get(index).or(node),
            _ => node,
        };
        place.map(|node| node.span.clone()).or_else(|| step.kind.as_ref().map(|kind| kind.span.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_found_by_name_and_index() {
        let text = "name = \"w\"\r\n[[step]]\r\nid = \"a\"\r\nkind = \"command\"\r\nfor_each = \"glob('x')\"\r\n\
                    with = { argv = [\"sh\", \"p.sh\"], cwd = \"d\" }\r\n";
        let (places, text) = (Places::of(text), line_feeds(text));
        let at = |argument: &str| places.find("a", argument).map(|span| &text[span]);
        assert_eq!(at("argv[1]"), Some("\"p.sh\""));
        assert_eq!(at("cwd"), Some("\"d\""));
        assert_eq!(at("for_each"), Some("\"glob('x')\""));
        assert_eq!(at("inputs[0]"), Some("\"command\""), "it is not in the file");
        assert_eq!(places.find("b", "cwd"), None);
    }
}
