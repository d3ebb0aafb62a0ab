//! Workflows to measure, as a person would write them.

use std::fmt::Write;

use super::floors::PROGRAM;

/// `count` no-op steps, each of which needs the one before.
pub(super) fn chain(name: &str, count: usize) -> String {
    steps(name, count, "kind = \"noop\"")
}

/// `count` programs, each of which waits for the one before.
pub(super) fn commands(name: &str, count: usize) -> String {
    steps(name, count, &format!("kind = \"command\"\nwith.argv = [\"{PROGRAM}\"]"))
}

fn steps(name: &str, count: usize, what: &str) -> String {
    let mut text = format!("name = \"{name}\"\n");
    for i in 0..count {
        // Writing to a string cannot fail.
        let _ = write!(text, "[[step]]\nid = \"s{i}\"\n{what}\n");
        if i > 0 {
            let _ = writeln!(text, "needs = [\"s{}\"]", i - 1);
        }
    }
    text
}

/// One no-op step per item of a list that the workflow creates itself.
pub(super) fn fan_out(name: &str, count: usize) -> String {
    format!(
        "name = \"{name}\"\n[[step]]\nid = \"each\"\nkind = \"noop\"\nfor_each = \"range({count})\"\nwith.values.n = \"{{{{ item }}}}\"\n"
    )
}
