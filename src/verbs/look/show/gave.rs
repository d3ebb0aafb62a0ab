//! What succeeded steps gave: results first, because people look for them, then other values, then outputs.

use crate::view::extent::Extent;
use crate::view::output::{bytes, table};
use crate::view::value_text::{remark, short};
use stepwell_steps::Highlight;
use stepwell_store::StepRow;
use stepwell_workflow::catalog::Given;

/// Most values and outputs to show, unless the full list is requested.
const MOST_GIVEN: usize = 24;

/// Items of a fan-out have their values in the table of steps.
pub(super) fn gave(steps: &[StepRow], extent: Extent) -> String {
    let of_whole = |step: &&StepRow| extent == Extent::All || step.parent.is_none();
    let shown = steps.iter().filter(of_whole);
    let (results, others): (Vec<&StepRow>, Vec<&StepRow>) = shown.partition(|step| gives_results(step));
    let all = || results.iter().chain(&others);
    let mut rows: Vec<Vec<String>> =
        all().flat_map(|step| values(step)).chain(all().flat_map(|step| outputs(step))).collect();
    let most = if extent == Extent::All { usize::MAX } else { MOST_GIVEN };
    let more = rows.len().saturating_sub(most);
    rows.truncate(most);
    let mut text = String::new();
    if !rows.is_empty() {
        text.push_str(&format!("\n{}", table(&["step", "gave", "content"], rows)));
    }
    if more > 0 {
        text.push_str(&format!("and {more} more, with `--all`\n"));
    }
    text
}

/// True if people look for the values of a step: its kind highlights them, or a program of the user chose them.
fn gives_results(step: &StepRow) -> bool {
    stepwell_steps::find(&step.kind)
        .is_none_or(|kind| kind.highlight() != Highlight::Nothing || kind.gives().values == Given::Any)
}

pub(super) fn values(step: &StepRow) -> Vec<Vec<String>> {
    let values = step.outputs.iter().flat_map(|outputs| &outputs.values);
    values
        .map(|(name, value)| {
            let remark = match &step.outputs {
                Some(outputs) if value.is_number() => remark(&step.kind, name, &outputs.values),
                _ => String::new(),
            };
            let remark = if remark.is_empty() { remark } else { format!("  ({remark})") };
            vec![step.id.to_string(), format!("values.{name}"), format!("{}{remark}", short(value))]
        })
        .collect()
}

pub(super) fn outputs(step: &StepRow) -> Vec<Vec<String>> {
    let artifacts = step.outputs.iter().flat_map(|outputs| &outputs.artifacts);
    artifacts
        .map(|(name, artifact)| {
            let content = format!("{}  {}", &artifact.digest.as_str()[..16], bytes(artifact.size));
            vec![step.id.to_string(), format!("outputs.{name}"), content]
        })
        .collect()
}
