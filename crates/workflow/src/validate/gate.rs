//! Checks the rule of a gate: an expression over its `inputs`.

use super::templates::Placed;
use super::uses;
use crate::diagnostic::Problems;
use crate::document::{Data, Node};
use crate::draft::StepDraft;
use crate::kinds::GATE;
use crate::template::{Form, Reference, Segment, form, scan_expression};
use stepwell_base::suggest;

/// A rule and what it judges.
const EXAMPLE: &str = "such as with = { rule = \"loss < 2.5\", inputs = { loss = \"{{ steps.train.values.loss }}\" } }";

pub(super) fn check(step: &StepDraft, problems: &mut Problems) {
    if step.kind.as_ref().is_none_or(|kind| kind.value != GATE) {
        return;
    }
    let Some(Node { data: Data::Text(rule), span }) = step.with.get("rule") else { return };
    if form(rule) != Form::Literal {
        problems.at(span, "`rule` is an expression, not a template").hint("leave `{{ }}` out: rule = \"loss < 2.5\"");
        return;
    }
    let placed = Placed::new(problems.text(), span, rule);
    let scan = match scan_expression(rule) {
        Ok(scan) => scan,
        Err(error) => {
            let span = error.range.map_or_else(|| span.clone(), |range| placed.at(&range));
            problems.at(&span, format!("invalid rule: {}", error.message)).hint(EXAMPLE);
            return;
        }
    };
    // A template may make the whole of `inputs`; its names are then known only at run time.
    let inputs: Option<Vec<&str>> = match step.with.get("inputs").map(|node| &node.data) {
        None => Some(Vec::new()),
        Some(Data::Table(table)) => Some(table.entries.iter().map(|(name, _)| name.value.as_str()).collect()),
        Some(_) => None,
    };
    for reference in &scan.references {
        if let Some(inputs) = &inputs
            && !scan.locals.contains(&reference.root)
            && !inputs.contains(&reference.root.as_str())
        {
            let hint = hint(reference, inputs);
            problems
                .at(
                    &placed.at(&reference.range),
                    format!("the rule names `{}`, which is not in `inputs`", reference.root),
                )
                .hint(hint);
        }
    }
    uses::check(&scan, "a rule", &placed, problems);
}

/// Says how to give the rule a value that is no input.
fn hint(reference: &Reference, inputs: &[&str]) -> String {
    let near = suggest::meant(&reference.root, inputs.iter().copied());
    let (name, value) = match (reference.root.as_str(), reference.path.last()) {
        // A person wrote what belongs into `inputs`.
        ("steps" | "params", Some(Segment::Name(name))) => (name.as_str(), reference.to_string()),
        (name, _) => (name, format!("steps.STEP.values.{name}")),
    };
    format!("{near}give it to the rule: inputs = {{ {name} = \"{{{{ {value} }}}}\" }}")
}
