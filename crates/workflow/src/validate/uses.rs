//! Finds filters, tests, functions and methods in a template that the engine does not know.

use super::templates::Placed;
use crate::diagnostic::Problems;
use crate::template::{FILTERS, FUNCTIONS, Scan, TESTS, is_filter, is_function, is_test};
use stepwell_base::suggest;

/// `place` describes the scanned text: `a template` or `a rule`.
pub(super) fn check(scan: &Scan, place: &str, placed: &Placed, problems: &mut Problems) {
    type IsKnown = fn(&str) -> bool;
    let kinds: [(&str, &[_], IsKnown, &[&str]); 3] = [
        ("filter", &scan.filters, is_filter, &FILTERS),
        ("test", &scan.tests, is_test, &TESTS),
        ("function", &scan.functions, is_function, &FUNCTIONS),
    ];
    for (what, uses, is_known, known) in kinds {
        for (name, range) in uses.iter().filter(|(name, _)| !is_known(name)) {
            let hint = match what {
                "function" => instead_of_function(name),
                _ => None,
            };
            let hint = hint.unwrap_or_else(|| suggest::hint(name, &format!("{what}s"), known.iter().copied()));
            problems.at(&placed.at(range), format!("unknown {what} `{name}` in {place}")).hint(hint);
        }
    }
    for (name, range) in &scan.methods {
        problems
            .at(&placed.at(range), format!("`.{name}()`: values in {place} have no methods"))
            .label("not a filter")
            .hint(instead_of_method(name));
    }
}

/// Suggests the filter that does the work of a function elsewhere.
fn instead_of_function(name: &str) -> Option<String> {
    let filter = match name {
        "len" => "length",
        "str" => "string",
        "sorted" => "sort",
        "reversed" => "reverse",
        "argmin" | "argmax" => "best(by=\"values.NAME\")",
        "enumerate" => return Some("the index of an item is `index`, and in a loop `loop.index0`".to_owned()),
        "env" | "getenv" => return Some("write `[secrets]`, or let the program read the variable".to_owned()),
        "open" | "read" | "file" => {
            return Some("a template reads no files: let a `command` read it and write `$STEPWELL_VALUES`".to_owned());
        }
        "now" | "time" | "today" => return Some("`run.scheduled_at` is the time that the run is for".to_owned()),
        name if is_filter(name) => name,
        _ => return None,
    };
    Some(format!("write a filter: `value | {filter}`"))
}

/// Suggests the filter that does the work of a method elsewhere.
fn instead_of_method(name: &str) -> String {
    match name {
        "get" => "write `value.NAME | default(..)`".to_owned(),
        "keys" => "write `value | list`".to_owned(),
        "format" => "write `\"..\" ~ value`: `~` joins texts".to_owned(),
        "strip" | "lstrip" | "rstrip" => "write `value | trim`".to_owned(),
        "index" | "find" | "argmin" | "argmax" | "best" => {
            "to choose a child of a fan-out, write `(steps.ID | best(by=\"values.NAME\")).outputs.NAME`; for any list, \
             `values | zip(others) | sort | first`"
                .to_owned()
        }
        "values" => "write `value | dictsort | map(attribute=1)`".to_owned(),
        "startswith" => "write a test: `value is startingwith(\"..\")`".to_owned(),
        "endswith" => "write a test: `value is endingwith(\"..\")`".to_owned(),
        "append" | "extend" => "write `list + [value]`".to_owned(),
        "count" | "size" | "len" => "write `value | length`".to_owned(),
        name if is_filter(name) => format!("write a filter: `value | {name}`"),
        name => format!("write a filter, such as `value | length`; {}", suggest::hint(name, "filters", FILTERS)),
    }
}
