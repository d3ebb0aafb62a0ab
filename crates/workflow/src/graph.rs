//! A workflow as a picture: Graphviz dot, or indented text.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::spec::{StepSpec, WorkflowSpec};

/// Formats Graphviz dot: one box per step (three-dimensional for a fan-out, dashed when conditional), arrows
/// in the direction of the data.
pub fn dot(spec: &WorkflowSpec) -> String {
    let mut out = format!("digraph {} {{\n  rankdir=LR;\n  node [shape=box];\n", quote(&spec.name));
    for step in &spec.steps {
        let mut attributes = format!("label={}", quote(&format!("{}\n{}", step.id, step.kind)));
        attributes.push_str(if step.for_each.is_some() { ", shape=box3d" } else { "" });
        attributes.push_str(if step.when.is_some() { ", style=dashed" } else { "" });
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(out, "  {} [{attributes}];", quote(step.id.as_str()));
    }
    for step in &spec.steps {
        for need in &step.needs {
            let _ = writeln!(out, "  {} -> {};", quote(need.as_str()), quote(step.id.as_str()));
        }
    }
    out.push_str("}\n");
    out
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// Formats one line per step in an order in which they can run, indented by the longest chain of needs before it.
pub fn text(spec: &WorkflowSpec) -> String {
    let order = by_depth(spec);
    let width = order.iter().map(|(depth, step)| 2 * shown(*depth) + step.id.as_str().len()).max().unwrap_or(0);
    let kind_width = spec.steps.iter().map(|step| step.kind.len()).max().unwrap_or(0);
    let mut out = format!("{}\n", spec.name);
    for (depth, step) in order {
        let id = format!("{}{}", "  ".repeat(shown(depth)), step.id);
        let mut line = format!("  {id:width$}  {:kind_width$}", step.kind);
        if !step.needs.is_empty() {
            let needs: Vec<&str> = step.needs.iter().map(|need| need.as_str()).collect();
            let _ = write!(line, "  needs {}", needs.join(", "));
        }
        if let Some(items) = &step.for_each {
            let _ = write!(line, "  for each of {}", items.trim());
        }
        if let Some(condition) = &step.when {
            let _ = write!(line, "  when {}", condition.trim());
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Caps the indentation so that deep chains fit on a screen.
fn shown(depth: usize) -> usize {
    depth.min(20)
}

/// Returns the steps with the length of the longest chain of needs before them; equal depths keep their order.
fn by_depth(spec: &WorkflowSpec) -> Vec<(usize, &StepSpec)> {
    let index: HashMap<&str, usize> = spec.steps.iter().enumerate().map(|(at, step)| (step.id.as_str(), at)).collect();
    let needs: Vec<Vec<usize>> = spec
        .steps
        .iter()
        .map(|step| step.needs.iter().filter_map(|need| index.get(need.as_str()).copied()).collect())
        .collect();
    let mut unmet: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut dependents = vec![Vec::new(); spec.steps.len()];
    for (step, needs) in needs.iter().enumerate() {
        needs.iter().for_each(|need| dependents[*need].push(step));
    }
    let mut depths = vec![0; spec.steps.len()];
    let mut ready: Vec<usize> = (0..spec.steps.len()).filter(|step| unmet[*step] == 0).collect();
    while let Some(step) = ready.pop() {
        for dependent in &dependents[step] {
            depths[*dependent] = depths[*dependent].max(depths[step] + 1);
            unmet[*dependent] -= 1;
            if unmet[*dependent] == 0 {
                ready.push(*dependent);
            }
        }
    }
    let mut order: Vec<(usize, &StepSpec)> = depths.into_iter().zip(&spec.steps).collect();
    order.sort_by_key(|(depth, _)| *depth);
    order
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::spec::{RetryPolicy, Timeouts};

    fn step(id: &str, needs: &[&str]) -> StepSpec {
        StepSpec {
            id: id.into(),
            kind: format!("kind.{id}"),
            needs: needs.iter().map(|need| (*need).into()).collect(),
            with: Map::new(),
            for_each: None,
            when: None,
            retry: RetryPolicy::default(),
            timeout: Timeouts::default(),
            child: None,
            resources: Default::default(),
            priority: 0,
            rate_limit: None,
            executor: None,
        }
    }

    fn spec() -> WorkflowSpec {
        let mut fan = step("fan", &["top"]);
        fan.for_each = Some("range(3)".to_owned());
        let mut last = step("last", &["fan", "top"]);
        last.when = Some("params.ok".to_owned());
        let steps = vec![last, fan, step("top", &[])];
        WorkflowSpec {
            name: "w".to_owned(),
            description: String::new(),
            params: Map::new(),
            defaults: None,
            steps,
            outputs: Map::new(),
            budget: Default::default(),
            sla: None,
            secrets: Default::default(),
        }
    }

    #[test]
    fn text_is_in_order_of_depth() {
        let expected = "w\n  top       kind.top\n    fan     kind.fan   needs top  for each of range(3)\n      last  kind.last  needs fan, top  when params.ok\n";
        assert_eq!(text(&spec()), expected);
    }

    #[test]
    fn dot_has_every_step_and_arrow() {
        let dot = dot(&spec());
        for line in [
            "digraph \"w\" {",
            "\"fan\" [label=\"fan\\nkind.fan\", shape=box3d];",
            "\"last\" [label=\"last\\nkind.last\", style=dashed];",
            "\"top\" -> \"fan\";",
            "\"fan\" -> \"last\";",
        ] {
            assert!(dot.contains(line), "{line} is missing in\n{dot}");
        }
    }
}
