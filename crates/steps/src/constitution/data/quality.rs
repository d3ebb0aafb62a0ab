//! `constitution.quality`: figures, thresholds, and the overlap with the evaluation. Rows leave this step, or the run ends here.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::constitution::files::{constitution, lines, publish_lines, stopped};
use crate::constitution::kind::{ConstitutionKind, check_types};
use crate::handler::{StepContext, StepError};
use crate::infer::Source;
use stepwell_base::artifact::Outputs;
use stepwell_constitution::{Held, Item, Record, SftRow, check_overlap, judge};
use stepwell_workflow::catalog::{Given, Gives};

pub static QUALITY: ConstitutionKind = ConstitutionKind {
    kind: "constitution.quality",
    summary: "judge generated data; data that does not pass ends the run",
    schema: || schemars::schema_for!(Arguments),
    gives: Gives {
        outputs: Given::Named(&[
            ("summary", "JSON: counts, rates, thresholds"),
            ("records", "NDJSON of the accepted records"),
            ("rows", "NDJSON with `prompt` and `completion`, for `sft.tokenize`"),
        ]),
        values: Given::Named(&[
            ("records", "records that were judged"),
            ("accepted", "records that are learned"),
            ("instruction_acceptance", "share of instructions that their critic accepts"),
            ("pair_acceptance", "share of answers that their critic accepts"),
            ("median_tokens", "median tokens of an answer"),
        ]),
    },
    files: &["constitution", "records", "evaluation"],
    check: check_types::<Arguments>,
    run,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// The constitution: a path, an output, or `builtin:constitution`.
    constitution: Source,
    /// Records with both critiques.
    records: Source,
    /// Items of the evaluation: seeds and rows must share nothing with them. A path, an output, or `builtin:evaluation`.
    evaluation: Source,
}

fn run(context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
    let arguments: Arguments = context.arguments()?;
    let constitution = constitution(context, &arguments.constitution)?;
    let records: Vec<Record> = lines(context, "`records`", &arguments.records)?;
    let items: Vec<Item> = lines(context, "`evaluation`", &arguments.evaluation)?;
    let held: Vec<Held> = items.into_iter().map(|item| Held { id: item.id, text: item.instruction }).collect();
    let seeds = constitution.seeds.iter().map(|seed| ("seed", seed.as_str()));
    let texts = records.iter().flat_map(|record| {
        let answers = [record.response.as_deref(), record.answer()];
        let answers = answers.into_iter().flatten().map(|answer| (record.id.as_str(), answer));
        [(record.id.as_str(), record.instruction.as_str())].into_iter().chain(answers)
    });
    check_overlap(seeds.chain(texts), &held).map_err(stopped)?;
    let quality = judge(&records, &constitution.quality).map_err(stopped)?;
    let summary = &quality.summary;
    summary.verdict().map_err(stopped)?;
    let (mut accepted, mut rows) = (Vec::new(), Vec::new());
    for place in &quality.accepted {
        let mut record = records[*place].clone();
        let Some(answer) = record.answer() else { continue };
        let row =
            SftRow { prompt: constitution.prompts.respond(&record.instruction), completion: format!(" {answer}") };
        (record.prompt, record.completion) = (Some(row.prompt.clone()), Some(row.completion.clone()));
        rows.push(row);
        accepted.push(record);
    }
    let values = json!({
        "records": records.len(),
        "accepted": accepted.len(),
        "instruction_acceptance": summary.acceptance["instruction"],
        "pair_acceptance": summary.acceptance["pair"],
        "median_tokens": summary.token_stats["median"],
    });
    let outputs = [
        ("summary", context.publish_json("the summary", summary)?),
        ("records", publish_lines(context, &accepted)?),
        ("rows", publish_lines(context, &rows)?),
    ];
    Ok(Outputs::of(outputs, values))
}
