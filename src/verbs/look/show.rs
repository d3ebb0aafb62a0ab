//! `stepwell show RUN [STEP]`

mod gave;
mod heading;
mod one_step;
mod params;
mod records;
mod steps;
#[cfg(test)]
mod tests;

use clap::Args;
use serde_json::{Value, json};

use crate::drive::mistakes::Words;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::annotation::add_json;
use crate::view::chosen_child::{StepSpecs, chosen};
use crate::view::effort::effort;
use crate::view::extent::Extent;
use crate::view::failures::failed_steps;
use crate::view::fan_out::MOST_CHILDREN;
use crate::view::origin::origin;
use crate::view::output::{run_json, step_json, table};
use crate::view::run_handle::handle;
use crate::view::words;
use crate::view::work_time::WorkClock;
use gave::gave;
use heading::Heading;
use params::changed_params;
use stepwell_base::ids::RunId;
use stepwell_run::event::Ruling;
use stepwell_run::status::RunStatus;
use stepwell_store::{DecisionRow, Reader, RunParams};

/// Most decisions to show, unless the full list is requested.
const MOST_DECISIONS: usize = 10;

/// Show a run: its parameters, steps, values and progress
///
/// Lists the parameters that differ from their defaults, and of large fan-outs the items that failed, those at work and
/// the first ones. With STEP, shows everything about one step. `--output json` has everything.
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
    /// Only this step; an item of a fan-out is STEP[ITEM] or STEP[POSITION]
    #[arg(value_name = "STEP")]
    pub step: Option<String>,
    /// List every parameter, every item of large fan-outs, and all values and outputs
    #[arg(long)]
    pub all: bool,
}

pub fn show(session: &Session, args: &ShowArgs) -> Result<Exit, CliError> {
    let words = Words { verb: "show", run: &args.run, step: args.step.as_deref() };
    if args.step.is_some()
        && let (reader, id, Some(step)) = words.find_kept(session)?
    {
        return one_step::show(session, &reader, id, &step);
    }
    let (reader, id, _) = words.find(session)?;
    let extent = if args.all { Extent::All } else { Extent::Screen };
    let (text, value) = page(session, &reader, id, extent)?;
    session.out.document(&text, value)?;
    Ok(Exit::Ok)
}

/// The run as text, and as JSON.
fn page(session: &Session, reader: &Reader, id: RunId, extent: Extent) -> Result<(String, Value), CliError> {
    let run = reader.run(id)?;
    let steps = reader.overview(id, if extent == Extent::All { u64::MAX } else { MOST_CHILDREN })?;
    let decisions = reader.decisions(id)?;
    let effort = effort(reader, &run, session.settings.slots.value)?;
    let failed = if run.status == RunStatus::Failed { failed_steps(reader, id)? } else { Vec::new() };
    let spec = reader.spec(id)?;
    let params = RunParams { params: spec.params.clone(), defaults: spec.defaults.clone() };
    let annotation = reader.annotation(id)?;
    let mut run_fields = run_json(&run);
    add_json(&mut run_fields, &annotation);
    let value = json!({
        "run": run_fields,
        "params": params.params,
        "changed_params": params.changed(),
        "defaults": params.defaults,
        "effort": effort.json(),
        "steps": steps.iter().map(step_json).collect::<Vec<_>>(),
        "decisions": decisions.iter().map(decision_json).collect::<Vec<_>>(),
    });
    let clock = WorkClock::new(reader, Some(id));
    let mut listed = steps::listed(reader, id, &steps, extent)?;
    let specs = StepSpecs::of(&spec);
    for step in listed.steps.iter().filter(|step| step.parent.is_none()) {
        listed.chosen.insert(step.id.clone(), chosen(reader, id, &specs, step)?);
    }
    let time = clock.of_run(&run, &steps);
    let heading = Heading { run: &run, origin: origin(reader, &run), time, failed: &failed, annotation: &annotation };
    let handle = handle(reader, &run);
    let out = &session.out;
    let mut text = out.pasteable(&heading.text());
    text.push_str(&effort.lines());
    text.push_str(&out.pasteable(&changed_params(&params, extent, &handle)));
    text.push('\n');
    text.push_str(&out.pasteable(&steps::text(&listed, run.status, &clock, &handle)));
    text.push_str(&gave(&steps, extent));
    text.push_str(&decided(&decisions, extent));
    Ok((text, value))
}

fn decided(decisions: &[DecisionRow], extent: Extent) -> String {
    if decisions.is_empty() {
        return String::new();
    }
    let left_out = match extent {
        Extent::All => 0,
        Extent::Screen => decisions.len().saturating_sub(MOST_DECISIONS),
    };
    let rows = decisions[left_out..].iter().map(decision_row).collect();
    let mut text = format!("\n{}", table(&["decision", "at", "verdict", "by", "about"], rows));
    if left_out > 0 {
        text.push_str(&format!("and {left_out} before, with `--all`\n"));
    }
    text
}

fn decision_json(row: &DecisionRow) -> Value {
    let mut fields = json!(row.ruling);
    fields["step"] = json!(row.step);
    fields["at"] = json!(row.at);
    fields["seq"] = json!(row.seq);
    fields
}

fn decision_row(row: &DecisionRow) -> Vec<String> {
    let Ruling { rule, inputs, approver, comment, .. } = &row.ruling;
    let inputs =
        inputs.as_object().filter(|inputs| !inputs.is_empty()).map(|_| format!(" {inputs}")).unwrap_or_default();
    let comment = comment.as_ref().map(|comment| format!(" ({comment})")).unwrap_or_default();
    vec![
        row.step.to_string(),
        row.at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        words::verdict(&row.ruling).to_owned(),
        approver.clone().unwrap_or_else(|| "the rule".to_owned()),
        format!("{rule}{inputs}{comment}"),
    ]
}
