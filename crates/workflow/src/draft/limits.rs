//! `resources`, `priority` and `rate_limit` of a step; `budget` and `sla` of a workflow.

use super::policies::positive;
use crate::budget::{Budget, Sla};
use crate::diagnostic::Problems;
use crate::document::{Data, Located, Node, Table};
use stepwell_base::amount;

const BUDGET_KEYS: [&str; 3] = ["maximum_compute", "cost_per_hour", "maximum_cost"];
const SLA_KEYS: [&str; 1] = ["finish_within"];

/// Reads the units by pool. The machine, not the workflow, decides which pools exist.
pub(super) fn resources(node: &Node, problems: &mut Problems) -> Vec<(Located<String>, u64)> {
    let Some(table) = node.table("resources", "resources = { gpu = 1 }", problems) else { return Vec::new() };
    let units = |node: &Node| match &node.data {
        Data::Text(text) => amount::parse(text),
        _ => node.to_json().as_u64(),
    };
    let mut demand = Vec::new();
    for (name, node) in &table.entries {
        match units(node).filter(|units| *units > 0) {
            Some(units) => demand.push((name.clone(), units)),
            None => {
                problems
                    .at(
                        &node.span,
                        format!("`resources.{}` must be a whole number of at least 1, or an amount", name.value),
                    )
                    .hint("write `gpu = 1` or `memory = \"8GiB\"`");
            }
        }
    }
    demand
}

pub(super) fn priority(node: &Node, problems: &mut Problems) -> i32 {
    let number = node.to_json().as_i64().and_then(|number| i32::try_from(number).ok());
    if number.is_none() {
        problems
            .at(&node.span, format!("`priority` must be an integer, not {}", node.describe()))
            .hint("the highest number is claimed first; the default is 0");
    }
    number.unwrap_or_default()
}

pub(super) fn budget(node: &Node, problems: &mut Problems) -> Budget {
    let Some(table) = node.table("budget", "budget = { maximum_compute = \"8h\" }", problems) else {
        return Budget::default();
    };
    table.only(&BUDGET_KEYS, " in [budget]", problems);
    let budget = Budget {
        maximum_compute: positive(table, "maximum_compute", problems),
        cost_per_hour: amount_of_money(table, "cost_per_hour", problems),
        maximum_cost: amount_of_money(table, "maximum_cost", problems),
    };
    if let (Some(node), None) = (table.get("maximum_cost"), table.get("cost_per_hour")) {
        problems
            .at(&node.span, "`maximum_cost` means nothing without `cost_per_hour`")
            .hint("add `cost_per_hour`: what an hour of an attempt costs");
    }
    budget
}

fn amount_of_money(table: &Table, key: &str, problems: &mut Problems) -> Option<f64> {
    let node = table.get(key)?;
    let number = node.to_json().as_f64().filter(|number| *number > 0.0);
    if number.is_none() {
        problems.at(&node.span, format!("`{key}` must be a number above 0")).hint("leave the key out for no limit");
    }
    number
}

pub(super) fn sla(node: &Node, problems: &mut Problems) -> Option<Sla> {
    let table = node.table("sla", "sla = { finish_within = \"8h\" }", problems)?;
    table.only(&SLA_KEYS, " in [sla]", problems);
    if table.get("finish_within").is_none() {
        problems.at(&node.span, "[sla] has no `finish_within`").hint("write `finish_within = \"8h\"`");
        return None;
    }
    positive(table, "finish_within", problems).map(|finish_within| Sla { finish_within })
}
