//! The shape of a workflow file: its keys and their types, with positions for later messages.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::ids::{LONGEST_ID, is_id, is_identifier};
use super::{limits, other_names, policies, secrets, shell};
use crate::budget::{Budget, Sla};
use crate::diagnostic::{Problems, Span};
use crate::document::{Data, Located, Node, Table};
use crate::spec::{PinnedWorkflow, RetryPolicy, Timeouts};
use stepwell_base::names::RunName;
use stepwell_base::secret::SecretSource;
use stepwell_base::suggest;

const WORKFLOW_KEYS: [&str; 8] = ["name", "description", "params", "secrets", "budget", "sla", "step", "outputs"];
pub(crate) const STEP_KEYS: [&str; 12] = [
    "id",
    "kind",
    "needs",
    "with",
    "for_each",
    "when",
    "retry",
    "timeout",
    "resources",
    "priority",
    "rate_limit",
    "executor",
];

/// A workflow with the right keys, not checked further.
#[derive(Default)]
pub(crate) struct Draft {
    /// False when the file's syntax is broken.
    pub(crate) is_read: bool,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) params: Map<String, Value>,
    /// Set by `parse` once overrides are applied.
    pub(crate) defaults: Option<Map<String, Value>>,
    pub(crate) secrets: BTreeMap<String, SecretSource>,
    pub(crate) budget: Budget,
    pub(crate) sla: Option<Sla>,
    pub(crate) steps: Vec<StepDraft>,
    pub(crate) outputs: Table,
}

pub(crate) struct StepDraft {
    pub(crate) id: Option<Located<String>>,
    pub(crate) kind: Option<Located<String>>,
    /// Declared needs; `validate` adds the steps that templates refer to.
    pub(crate) needs: Vec<Located<String>>,
    pub(crate) with: Table,
    pub(crate) for_each: Option<Located<String>>,
    pub(crate) when: Option<Located<String>>,
    pub(crate) retry: RetryPolicy,
    pub(crate) timeout: Timeouts,
    /// Set by `parse` when the step starts a workflow.
    pub(crate) child: Option<PinnedWorkflow>,
    /// The keys of `[outputs]` in `child`.
    pub(crate) child_outputs: Option<Vec<String>>,
    /// Pools with the units requested from each.
    pub(crate) resources: Vec<(Located<String>, u64)>,
    pub(crate) priority: i32,
    pub(crate) rate_limit: Option<Located<String>>,
    pub(crate) executor: Option<Located<String>>,
}

impl Draft {
    pub(crate) fn read(table: &Table, problems: &mut Problems) -> Draft {
        only_workflow_keys(table, problems);
        let name = match table.get("name") {
            Some(node) => name(node, problems),
            None => {
                problems
                    .at(&(0..0), "the workflow has no `name`")
                    .label("missing")
                    .hint("start the file with a line such as `name = \"pretrain\"`");
                String::new()
            }
        };
        let description = table.get("description").and_then(|node| node.text("description", problems));
        let params = table.get("params").and_then(|node| node.table("params", "params = { seed = 1 }", problems));
        Draft {
            is_read: true,
            name,
            description: description.map(|text| text.value).unwrap_or_default(),
            params: params.map(|params| read_params(params, problems)).unwrap_or_default(),
            defaults: None,
            secrets: table.get("secrets").map(|node| secrets::read(node, problems)).unwrap_or_default(),
            budget: table.get("budget").map(|node| limits::budget(node, problems)).unwrap_or_default(),
            sla: table.get("sla").and_then(|node| limits::sla(node, problems)),
            steps: read_steps(table, problems),
            outputs: table
                .get("outputs")
                .and_then(|node| node.table("outputs", "outputs = { loss = \"{{ steps.ID.values.loss }}\" }", problems))
                .cloned()
                .unwrap_or_default(),
        }
    }
}

fn name(node: &Node, problems: &mut Problems) -> String {
    let Some(name) = node.text("name", problems) else { return String::new() };
    if !is_id(&name.value) {
        problems
            .at(&name.span, format!("invalid workflow name `{}`", name.value))
            .hint(format!("use letters, digits, `_` and `-`, at most {LONGEST_ID} of them"));
    } else if let Err(error) = name.value.parse::<RunName>() {
        problems
            .at(&name.span, format!("invalid workflow name `{}`: {error}", name.value))
            .hint("runs are named as their workflow: choose another name");
    }
    name.value
}

fn read_params(table: &Table, problems: &mut Problems) -> Map<String, Value> {
    for (key, _) in &table.entries {
        if !is_identifier(&key.value) {
            problems
                .at(&key.span, format!("invalid param name `{}`", key.value))
                .label("templates cannot name this")
                .hint("use letters, digits and `_`, not starting with a digit");
        }
    }
    table.to_json()
}

fn read_steps(table: &Table, problems: &mut Problems) -> Vec<StepDraft> {
    let Some(node) = table.get("step") else {
        let end = problems.text().len();
        problems
            .at(&(end..end), "the workflow has no steps")
            .label("missing")
            .hint("add `[[step]]` with `id = \"...\"` and `kind = \"...\"`");
        return Vec::new();
    };
    if let Data::Table(_) = node.data {
        problems.at(&node.span, "`step` must be a list of tables").hint("write `[[step]]` with two brackets");
        return Vec::new();
    }
    let Some(items) = node.list("step", "[[step]]", problems) else { return Vec::new() };
    items
        .iter()
        .filter_map(|item| {
            let table = item.table("step", "step = [{ id = \"a\", kind = \"noop\" }]", problems)?;
            Some(StepDraft::read(table, item.span.clone(), problems))
        })
        .collect()
}

impl StepDraft {
    fn read(table: &Table, header: Span, problems: &mut Problems) -> StepDraft {
        only_step_keys(table, problems);
        let id = required(table, "id", "give it a unique id, such as `id = \"clean\"`", &header, problems);
        let mut kind = required(
            table,
            "kind",
            "`kind = \"command\"` runs a program; `stepwell workflow schema` lists the kinds",
            &header,
            problems,
        );
        if let Some(id) = &id
            && !is_id(&id.value)
        {
            problems
                .at(&id.span, format!("invalid step id `{}`", id.value))
                .hint(format!("use letters, digits, `_` and `-`, at most {LONGEST_ID} of them"));
        }
        let with = table.get("with").and_then(|node| node.table("with", "with = { shell = \"echo hello\" }", problems));
        let mut with = with.cloned().unwrap_or_default();
        shell::expand(&mut kind, &mut with, problems);
        StepDraft {
            id,
            kind,
            needs: needs(table, problems),
            with,
            for_each: expression(table, "for_each", problems),
            when: expression(table, "when", problems),
            retry: table.get("retry").map(|node| policies::retry(node, problems)).unwrap_or_default(),
            timeout: table.get("timeout").map(|node| policies::timeout(node, problems)).unwrap_or_default(),
            child: None,
            child_outputs: None,
            resources: table.get("resources").map(|node| limits::resources(node, problems)).unwrap_or_default(),
            priority: table.get("priority").map(|node| limits::priority(node, problems)).unwrap_or_default(),
            rate_limit: table.get("rate_limit").and_then(|node| node.text("rate_limit", problems)),
            executor: table.get("executor").and_then(|node| node.text("executor", problems)),
        }
    }
}

/// Reports keys that a workflow does not have.
fn only_workflow_keys(table: &Table, problems: &mut Problems) {
    for (key, _) in table.entries.iter().filter(|(key, _)| !WORKFLOW_KEYS.contains(&key.value.as_str())) {
        let hint = other_names::in_workflow(&key.value)
            .unwrap_or_else(|| suggest::hint(&key.value, "keys", WORKFLOW_KEYS.iter().copied()));
        problems.at(&key.span, format!("unknown key `{}`", key.value)).label("not a key of this table").hint(hint);
    }
}

/// Reports keys that a step does not have, among them arguments that are written beside `with`.
fn only_step_keys(table: &Table, problems: &mut Problems) {
    for (key, value) in table.entries.iter().filter(|(key, _)| !STEP_KEYS.contains(&key.value.as_str())) {
        let hint = other_names::in_step(&key.value, value)
            .unwrap_or_else(|| suggest::hint(&key.value, "keys", STEP_KEYS.iter().copied()));
        problems
            .at(&key.span, format!("unknown key `{}` in a step", key.value))
            .label("not a key of this table")
            .hint(hint);
    }
}

fn required(table: &Table, key: &str, hint: &str, header: &Span, problems: &mut Problems) -> Option<Located<String>> {
    match table.get(key) {
        Some(node) => node.text(key, problems),
        None => {
            problems.at(header, format!("this step has no `{key}`")).label("this step").hint(hint);
            None
        }
    }
}

/// Reads the list, or one step.
fn needs(table: &Table, problems: &mut Problems) -> Vec<Located<String>> {
    let Some(node) = table.get("needs") else { return Vec::new() };
    if let Data::Text(one) = &node.data {
        return vec![Located { value: one.clone(), span: node.span.clone() }];
    }
    let items = node.list("needs", "needs = [\"import\"]", problems).unwrap_or_default();
    items.iter().filter_map(|item| item.text("needs", problems)).collect()
}

fn expression(table: &Table, key: &str, problems: &mut Problems) -> Option<Located<String>> {
    let node = table.get(key)?;
    if let Data::Text(text) = &node.data {
        return Some(Located { value: text.clone(), span: node.span.clone() });
    }
    problems
        .at(&node.span, format!("`{key}` must be an expression in quotes, not {}", node.describe()))
        .hint(format!("write it as text: {key} = {:?}", node.to_json().to_string()));
    None
}
