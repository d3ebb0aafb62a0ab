//! `kind = "shell"`: short for a `command` that runs a script and stops at its first error.

use crate::diagnostic::{Problems, Span};
use crate::document::{Data, Located, Node, Table};
use crate::kinds::{COMMAND, SHELL};

/// Names for the script in other systems.
const SYNONYMS: [&str; 4] = ["shell", "script", "cmd", "command"];

/// Rewrites `with = { run = SCRIPT }` of a step of kind `shell` to the `argv` of a command.
pub(super) fn expand(kind: &mut Option<Located<String>>, with: &mut Table, problems: &mut Problems) {
    let Some(kind) = kind.as_mut().filter(|kind| kind.value == SHELL) else { return };
    kind.value = COMMAND.to_owned();
    if let (Some(_), Some((argv, _))) = (with.get("run"), with.entries.iter().find(|(key, _)| key.value == "argv")) {
        problems
            .at(&argv.span, "both `run` and `argv` are given")
            .hint("give one of them; `argv` belongs to `kind = \"command\"`");
        with.entries.retain(|(key, _)| key.value != "argv");
    }
    let is_script = |name: &str| name == "run" || SYNONYMS.contains(&name);
    let Some((key, node)) = with.entries.iter_mut().find(|(key, _)| is_script(&key.value)) else {
        problems
            .at(&kind.span, "this `shell` step has no `run`")
            .label("what should it run?")
            .hint("write `with = { run = \"echo hello | wc\" }`");
        let argv = Node { span: kind.span.clone(), data: Data::List(vec![text("true", &kind.span)]) };
        with.entries.push((Located { value: "argv".to_owned(), span: kind.span.clone() }, argv));
        return;
    };
    if key.value != "run" {
        problems
            .at(&key.span, format!("a `shell` step has no `{}`", key.value))
            .hint("write `run = \"...\"`; `shell = \"...\"` belongs to `kind = \"command\"`");
    }
    if !matches!(node.data, Data::Text(_)) {
        problems
            .at(&node.span, format!("`run` must be text, not {}", node.describe()))
            .hint("write a script: `run = \"echo hello | wc\"`; a list of words is the `argv` of `kind = \"command\"`");
        node.data = Data::Text("true".to_owned());
    }
    let span = node.span.clone();
    let words = vec![text("/bin/sh", &span), text("-euc", &span), node.clone()];
    key.value = "argv".to_owned();
    node.data = Data::List(words);
}

fn text(text: &str, span: &Span) -> Node {
    Node { span: span.clone(), data: Data::Text(text.to_owned()) }
}
