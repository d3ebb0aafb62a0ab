//! Finds steps that need each other. Iterative, because a workflow may be a chain of 100,000 steps.

use std::collections::HashMap;

use crate::diagnostic::{Problems, Span};
use crate::draft::StepDraft;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    New,
    /// On the path being walked.
    Open,
    Done,
}

/// Reports one problem per need that closes a cycle.
pub(super) fn check(steps: &[StepDraft], problems: &mut Problems) {
    let ids: Vec<&str> = steps.iter().map(|step| step.id.as_ref().map_or("", |id| id.value.as_str())).collect();
    let mut index: HashMap<&str, usize> = HashMap::new();
    for (at, id) in ids.iter().enumerate().filter(|(_, id)| !id.is_empty()) {
        index.entry(id).or_insert(at);
    }
    let needs: Vec<Vec<(usize, &Span)>> = steps
        .iter()
        .map(|step| step.needs.iter().filter_map(|need| Some((*index.get(need.value.as_str())?, &need.span))).collect())
        .collect();

    let mut marks = vec![Mark::New; steps.len()];
    for start in 0..steps.len() {
        if marks[start] != Mark::New {
            continue;
        }
        marks[start] = Mark::Open;
        // The walked path: each step with the number of its needs that are done.
        let mut path = vec![(start, 0)];
        while let Some((step, done)) = path.last_mut() {
            let step = *step;
            let Some((need, span)) = needs[step].get(*done) else {
                marks[step] = Mark::Done;
                path.pop();
                continue;
            };
            *done += 1;
            match marks[*need] {
                Mark::Done => {}
                Mark::New => {
                    marks[*need] = Mark::Open;
                    path.push((*need, 0));
                }
                Mark::Open => {
                    let from = path.iter().position(|(step, _)| step == need).unwrap_or_default();
                    report(&path[from..], *need, &ids, span, problems);
                }
            }
        }
    }
}

fn report(cycle: &[(usize, usize)], closing: usize, ids: &[&str], span: &Span, problems: &mut Problems) {
    const SHOWN: usize = 12;
    let mut names: Vec<&str> = cycle.iter().map(|(step, _)| ids[*step]).collect();
    if names.len() > SHOWN {
        names.splice(SHOWN / 2..names.len() - SHOWN / 2, ["..."]);
    }
    names.push(ids[closing]);
    let message = match cycle {
        [_] => format!("step `{}` needs itself", ids[closing]),
        _ => format!("steps need each other in a cycle: {}", names.join(" -> ")),
    };
    problems.at(span, message).label("closes the cycle").hint("an arrow reads `needs`: remove one of them");
}
