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
            problems.at(&placed.at(range), format!("unknown {what} `{name}` in {place}")).hint(suggest::hint(
                name,
                &format!("{what}s"),
                known.iter().copied(),
            ));
        }
    }
    for (name, range) in &scan.methods {
        problems
            .at(&placed.at(range), format!("`.{name}()`: values in {place} have no methods"))
            .label("not a filter")
            .hint(instead_of_method(name));
    }
}

/// Suggests the filter that does the work of a method elsewhere.
fn instead_of_method(name: &str) -> String {
    match name {
        "get" => "write `value.NAME | default(..)`".to_owned(),
        "keys" => "write `value | list`".to_owned(),
        "format" => "write `\"..\" ~ value`: `~` joins texts".to_owned(),
        "strip" => "write `value | trim`".to_owned(),
        name if is_filter(name) => format!("write a filter: `value | {name}`"),
        name => format!("write a filter, such as `value | length`; {}", suggest::hint(name, "filters", FILTERS)),
    }
}
