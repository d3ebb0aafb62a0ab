//! `constitution.critique`: the base model judges instructions, or answers, by the log-probabilities of two labels.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::constitution::files::{constitution, lines, publish_lines, stopped};
use crate::constitution::kind::{ConstitutionKind, check_types};
use crate::constitution::model::{Ask, BaseArguments, BaseModel, Common, Wanted, ask};
use crate::handler::{StepContext, StepError};
use crate::infer::Source;
use stepwell_base::artifact::Outputs;
use stepwell_constitution::{Code, Critique, Record, Stop, Target};
use stepwell_workflow::catalog::{Given, Gives};

const KIND: &str = "constitution.critique";

pub static CRITIQUE: ConstitutionKind = ConstitutionKind {
    kind: KIND,
    summary: "judge instructions or answers by the log-probabilities of the labels A and B",
    schema: || schemars::schema_for!(Arguments),
    gives: Gives {
        outputs: Given::Named(&[("records", "NDJSON of records with the critique")]),
        values: Given::Named(&[
            ("records", "number of records"),
            ("good", "records with the label A and a margin that counts"),
            ("confident", "records with a margin that counts"),
            ("mean_difference", "mean of logp(A) - logp(B), in nats"),
        ]),
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
    /// What is judged: `instruction`, or `pair` for the answer to it.
    of: Target,
    /// Equal seeds give equal bytes.
    seed: u64,
}

fn run(context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
    let arguments: Arguments = context.arguments()?;
    let constitution = constitution(context, &arguments.constitution)?;
    let mut records: Vec<Record> = lines(context, "`records`", &arguments.records)?;
    let base = BaseModel::open(context, arguments.base)?;
    let mut asks = Vec::with_capacity(records.len());
    for record in &records {
        let prompt = match (arguments.of, &record.response) {
            (Target::Instruction, _) => constitution.prompts.instruction_critic(&record.instruction),
            (Target::Pair, Some(response)) => constitution.prompts.pair_critic(&record.instruction, response),
            (Target::Pair, None) => {
                let message = format!("the record `{}` has no answer to judge", record.id);
                return Err(
                    stopped(Stop::new(Code::InvalidRecord, message, "run `constitution.respond` before")).into()
                );
            }
        };
        asks.push(Ask { id: record.id.clone(), prompt, wanted: Wanted::Labels });
    }
    let common = Common { step: KIND, constitution: &constitution, seed: arguments.seed };
    let (told, _) = ask(context, &base, &common, &asks)?;
    let (mut good, mut confident, mut sum) = (0, 0, 0.0);
    for (record, told) in records.iter_mut().zip(told) {
        let Some(scores) = told.labels else { continue };
        let critique = Critique::of(scores, &constitution.critic);
        good += u64::from(critique.is_good);
        confident += u64::from(critique.confident);
        sum += scores.difference();
        match arguments.of {
            Target::Instruction => record.instruction_critique = Some(critique),
            Target::Pair => record.pair_critique = Some(critique),
        }
        record.metadata.steps.push(told.provenance);
    }
    let mean = sum / records.len().max(1) as f64;
    let values = json!({ "records": records.len(), "good": good, "confident": confident, "mean_difference": mean });
    Ok(Outputs::of([("records", publish_lines(context, &records)?)], values))
}
