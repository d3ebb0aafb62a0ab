//! `constitution.respond`: the base model answers the instructions.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::constitution::files::{constitution, lines, publish_lines};
use crate::constitution::kind::{ConstitutionKind, check_types};
use crate::constitution::model::{Ask, BaseArguments, BaseModel, Common, Wanted, ask};
use crate::handler::{StepContext, StepError};
use crate::infer::Source;
use stepwell_base::artifact::Outputs;
use stepwell_constitution::{Record, flags, trim};
use stepwell_workflow::catalog::{Given, Gives};

const KIND: &str = "constitution.respond";

/// Texts behind which nothing of an answer comes; see `trim`.
pub const ENDS: [&str; 6] = ["###END###", "\n\n", "\nInstruction", "\nQ:", "\nA:", "\nResponse:"];

pub static RESPOND: ConstitutionKind = ConstitutionKind {
    kind: KIND,
    summary: "let a base model answer instructions",
    schema: || schemars::schema_for!(Arguments),
    gives: Gives {
        outputs: Given::Named(&[("records", "NDJSON of instructions with their answers")]),
        values: Given::Named(&[("records", "number of answers"), ("clean", "answers without a fault")]),
    },
    files: &["constitution", "records"],
    check: check_types::<Arguments>,
    run,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    base: BaseArguments,
    /// The constitution: a path, an output, or `builtin:constitution`.
    constitution: Source,
    /// Output `records` of an earlier step.
    records: Source,
    /// Equal seeds give equal bytes.
    seed: u64,
}

fn run(context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
    let arguments: Arguments = context.arguments()?;
    let constitution = constitution(context, &arguments.constitution)?;
    let mut records: Vec<Record> = lines(context, "`records`", &arguments.records)?;
    let base = BaseModel::open(context, arguments.base)?;
    let stop: Vec<String> = ENDS.iter().map(|end| (*end).to_owned()).collect();
    let asked = |record: &Record| Ask {
        id: record.id.clone(),
        prompt: constitution.prompts.respond(&record.instruction),
        wanted: Wanted::Text { sampling: constitution.response_sampling.clone(), stop: stop.clone() },
    };
    let asks: Vec<Ask> = records.iter().map(asked).collect();
    let common = Common { step: KIND, constitution: &constitution, seed: arguments.seed };
    let (told, _) = ask(context, &base, &common, &asks)?;
    for (record, told) in records.iter_mut().zip(told) {
        let answer = trim(&told.text);
        record.flags = Some(flags(&told.text, answer, told.cut_off, base.special()));
        record.response = Some(answer.to_owned());
        record.metadata.steps.push(told.provenance);
    }
    let clean = records.iter().filter(|record| record.flags.is_some_and(|flags| flags.is_clean())).count();
    let values = json!({ "records": records.len(), "clean": clean });
    Ok(Outputs::of([("records", publish_lines(context, &records)?)], values))
}
