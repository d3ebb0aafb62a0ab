//! Reads `[secrets]` of a workflow: the source of each value.

use std::collections::BTreeMap;

use super::ids::is_identifier;
use crate::diagnostic::Problems;
use crate::document::{Data, Located, Node};
use stepwell_base::secret::SecretSource;

const HINT: &str = "write `NAME = { env = \"VARIABLE\" }` or `NAME = { file = \"PATH\" }`";

/// Reports entries without a source, such as a literal value.
pub(super) fn read(node: &Node, problems: &mut Problems) -> BTreeMap<String, SecretSource> {
    let mut sources = BTreeMap::new();
    let Some(table) = node.table("secrets", "secrets = { token = { env = \"TOKEN\" } }", problems) else {
        return sources;
    };
    for (name, node) in &table.entries {
        if !is_identifier(&name.value) {
            problems
                .at(&name.span, format!("invalid secret name `{}`", name.value))
                .label("templates cannot name this")
                .hint("use letters, digits and `_`, not starting with a digit");
        }
        if let Some(source) = source(name, node, problems) {
            sources.insert(name.value.clone(), source);
        }
    }
    sources
}

fn source(name: &Located<String>, node: &Node, problems: &mut Problems) -> Option<SecretSource> {
    let what = format!("the secret `{}`", name.value);
    let Data::Table(table) = &node.data else {
        problems.at(&name.span, format!("{what} must name its source, not hold a value")).hint(HINT);
        return None;
    };
    table.only(&["env", "file"], " in a secret", problems);
    let (env, file) = (table.get("env"), table.get("file"));
    let source = match (env, file) {
        (Some(node), None) => SecretSource::Env(node.text("env", problems)?.value),
        (None, Some(node)) => SecretSource::File(node.text("file", problems)?.value),
        _ => {
            problems.at(&node.span, format!("{what} needs one source")).hint(HINT);
            return None;
        }
    };
    let usable = match &source {
        SecretSource::Env(variable) => !variable.is_empty() && !variable.contains(['=', '\0']),
        SecretSource::File(path) => !path.is_empty() && !path.contains('\0'),
    };
    if !usable {
        problems.at(&node.span, format!("{what} names a source that cannot exist")).hint(HINT);
    }
    usable.then_some(source)
}
