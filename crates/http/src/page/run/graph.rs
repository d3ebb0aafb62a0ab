//! The steps of a workflow as a drawing: columns by depth, rows in the order of definition.

use std::collections::HashMap;

use super::super::parts::{Badge, cut};
use super::steps::{href, progress};
use stepwell_base::ids::StepId;
use stepwell_run::status::RunStatus;
use stepwell_store::{RunRow, StepRow};
use stepwell_workflow::spec::WorkflowSpec;

/// A larger workflow has its table only.
pub const MOST_STEPS: u64 = 60;

const WIDTH: u32 = 172;
const HEIGHT: u32 = 42;
const GAP_X: u32 = 44;
const GAP_Y: u32 = 14;
const MARGIN: u32 = 2;
const LABEL_CHARACTERS: usize = 18;
const SUB_CHARACTERS: usize = 24;

pub struct Graph {
    pub width: u32,
    pub height: u32,
    pub node_width: u32,
    pub node_height: u32,
    pub nodes: Vec<Node>,
    /// Paths of the lines.
    pub edges: Vec<String>,
}

pub struct Node {
    pub id: String,
    pub label: String,
    pub sub: String,
    pub href: String,
    pub state: Badge,
    pub x: u32,
    pub y: u32,
}

/// `steps` are those of the run without items.
pub fn graph(run: &RunRow, spec: &WorkflowSpec, steps: &[StepRow]) -> Option<Graph> {
    if spec.steps.len() < 2 {
        return None;
    }
    let needs: Vec<(StepId, Vec<StepId>)> =
        spec.steps.iter().map(|step| (step.id.clone(), step.needs.clone())).collect();
    let places = places(&needs);
    let columns = places.values().map(|(column, _)| column + 1).max().unwrap_or(0);
    let rows = places.values().map(|(_, row)| row + 1).max().unwrap_or(0);
    let corner = |(column, row): (u32, u32)| (MARGIN + column * (WIDTH + GAP_X), MARGIN + row * (HEIGHT + GAP_Y));
    let mut edges = Vec::new();
    for (id, needs) in &needs {
        let (x, y) = corner(places[id]);
        for need in needs.iter().filter_map(|need| places.get(need)) {
            let (from_x, from_y) = corner(*need);
            edges.push(curve((from_x + WIDTH, from_y + HEIGHT / 2), (x, y + HEIGHT / 2)));
        }
    }
    let nodes = steps.iter().filter_map(|step| {
        let (x, y) = corner(*places.get(&step.id)?);
        Some(node(run, step, x, y))
    });
    Some(Graph {
        width: 2 * MARGIN + columns * (WIDTH + GAP_X) - GAP_X,
        height: 2 * MARGIN + rows * (HEIGHT + GAP_Y) - GAP_Y,
        node_width: WIDTH,
        node_height: HEIGHT,
        nodes: nodes.collect(),
        edges,
    })
}

fn node(run: &RunRow, step: &StepRow, x: u32, y: u32) -> Node {
    let state = Badge::of_step(step, run.status);
    let progress = progress(step);
    let is_at_work = run.status == RunStatus::Running && state.class == "running";
    let sub = if is_at_work && !progress.is_empty() { progress } else { state.word.to_owned() };
    Node {
        id: step.id.to_string(),
        label: cut(step.id.as_str(), LABEL_CHARACTERS),
        sub: cut(&sub, SUB_CHARACTERS),
        href: href(run.id, &step.id),
        state,
        x,
        y,
    }
}

/// Column and row of each step. A step stands one column behind the last of its needs.
fn places(needs: &[(StepId, Vec<StepId>)]) -> HashMap<StepId, (u32, u32)> {
    let mut column: HashMap<StepId, u32> = HashMap::new();
    // Steps may be defined in any order; each round settles at least one more depth.
    for _ in 0..needs.len() {
        let mut moved = false;
        for (id, needs) in needs {
            let depth = needs.iter().filter_map(|need| column.get(need)).map(|depth| depth + 1).max().unwrap_or(0);
            moved |= column.insert(id.clone(), depth) != Some(depth);
        }
        if !moved {
            break;
        }
    }
    let mut filled: HashMap<u32, u32> = HashMap::new();
    let mut places: HashMap<StepId, (u32, u32)> = HashMap::new();
    for (id, needs) in needs {
        let column = column.get(id).copied().unwrap_or(0);
        let next = filled.entry(column).or_insert(0);
        // Beside the first of its needs, where that place is free.
        let beside = needs.first().and_then(|need| places.get(need)).map_or(0, |(_, row)| *row);
        let row = (*next).max(beside);
        *next = row + 1;
        places.insert(id.clone(), (column, row));
    }
    places
}

fn curve((from_x, from_y): (u32, u32), (to_x, to_y): (u32, u32)) -> String {
    let middle = (from_x + to_x) / 2;
    format!("M{from_x} {from_y}C{middle} {from_y} {middle} {to_y} {to_x} {to_y}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(needs: &[(&str, &[&str])]) -> Vec<(String, u32, u32)> {
        let needs: Vec<(StepId, Vec<StepId>)> =
            needs.iter().map(|(id, needs)| ((*id).into(), needs.iter().map(|need| (*need).into()).collect())).collect();
        let found = places(&needs);
        needs.iter().map(|(id, _)| (id.to_string(), found[id].0, found[id].1)).collect()
    }

    #[test]
    fn steps_stand_behind_their_needs_and_never_on_each_other() {
        let found = place(&[("a", &[]), ("b", &["a"]), ("c", &["a"]), ("d", &["b", "c"]), ("e", &[]), ("f", &["e"])]);
        let expected = [("a", 0, 0), ("b", 1, 0), ("c", 1, 1), ("d", 2, 0), ("e", 0, 1), ("f", 1, 2)];
        assert_eq!(found, expected.map(|(id, column, row)| (id.to_owned(), column, row)));
        assert_eq!(place(&[("late", &["first"]), ("first", &[])])[0], ("late".to_owned(), 1, 0));
    }
}
