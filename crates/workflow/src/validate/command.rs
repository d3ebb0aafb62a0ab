//! Checks the arguments that a `command` step passes to its program, as far as they are known before the run.

use std::path::Path;

use crate::diagnostic::{Problems, Span};
use crate::document::{Data, Node, Table};
use crate::draft::StepDraft;
use crate::kinds::COMMAND;
use stepwell_base::names::is_below;

/// Reports values that no program or environment accepts.
pub(super) fn check(step: &StepDraft, problems: &mut Problems) {
    let Some(kind) = step.kind.as_ref().filter(|kind| kind.value == COMMAND) else { return };
    one_of(&step.with, &kind.span, problems);
    if let Some(Node { data: Data::List(words), .. }) = step.with.get("argv") {
        for (index, word) in words.iter().enumerate() {
            plain(&format!("argv[{index}]"), word, problems);
        }
    }
    if let Some(Node { data: Data::Table(env), .. }) = step.with.get("env") {
        for (name, value) in &env.entries {
            if name.value.is_empty() || name.value.contains(['=', '\0']) {
                problems
                    .at(&name.span, format!("{:?} cannot be the name of a variable", name.value))
                    .hint("a name is not empty and has neither `=` nor a NUL byte");
            }
            plain(&format!("env.{}", name.value), value, problems);
        }
    }
    if let Some(Node { data: Data::Table(outputs), .. }) = step.with.get("outputs") {
        for (name, value) in &outputs.entries {
            below(&name.value, value, problems);
        }
    }
    for name in ["shell", "cwd"] {
        if let Some(node) = step.with.get(name) {
            no_nul(name, node, problems);
        }
    }
}

/// Checks that one of `argv` and `shell` is given. The schema of the kind cannot say so, because both have defaults.
fn one_of(with: &Table, place: &Span, problems: &mut Problems) {
    match (with.get("argv"), with.get("shell")) {
        (Some(_), Some(shell)) => {
            problems.at(&shell.span, "both `argv` and `shell` are given").hint("give one of them");
        }
        (None, None) => {
            problems
                .at(place, "the command is empty")
                .hint("give `argv = [\"program\", \"argument\"]` or `shell = \"script\"`");
        }
        (Some(Node { data: Data::List(words), span }), None) if words.is_empty() => {
            problems.at(span, "`argv` is empty").hint("its first element is the program");
        }
        (Some(Node { data: Data::List(words), .. }), None) if matches!(&words[0].data, Data::Text(program) if program.is_empty()) =>
        {
            problems.at(&words[0].span, "`argv[0]` is empty").hint("the first element is the program");
        }
        _ => {}
    }
}

/// Accepts text, numbers, true and false; a template may also give an artifact.
fn plain(what: &str, node: &Node, problems: &mut Problems) {
    if let Data::List(_) | Data::Table(_) = node.data {
        problems
            .at(&node.span, format!("`{what}` must be text, a number, or true or false, not {}", node.describe()))
            .hint("write its elements one by one, or as text in the form that the program reads");
    }
    no_nul(what, node, problems);
}

/// Checks the path of an output. A path from a template is checked at run time.
fn below(name: &str, node: &Node, problems: &mut Problems) {
    if let Data::Text(path) = &node.data
        && !is_below(Path::new(path))
    {
        problems.at(&node.span, format!("the output `{name}` cannot be at {path:?}")).hint(
            "its path is relative to $STEPWELL_OUTPUT_DIR or the working directory, without `..`; copy the file there",
        );
    }
}

fn no_nul(what: &str, node: &Node, problems: &mut Problems) {
    if matches!(&node.data, Data::Text(text) if text.contains('\0')) {
        problems
            .at(&node.span, format!("`{what}` holds a NUL byte, which no program can be given"))
            .hint("write it to a file, or encode it");
    }
}
