//! `constitution.revise`: the base model rewrites its answers, each by one principle.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::respond::ENDS;
use crate::constitution::files::{constitution, lines, publish_lines};
use crate::constitution::kind::{ConstitutionKind, check_types};
use crate::constitution::model::{Ask, BaseArguments, BaseModel, Common, Wanted, ask};
use crate::handler::{StepContext, StepError};
use crate::infer::Source;
use stepwell_base::artifact::Outputs;
use stepwell_base::rng::{Rng, derive_seed};
use stepwell_constitution::{Constitution, Principle, Record, Revision, flags, trim};
use stepwell_workflow::catalog::{Given, Gives};

const KIND: &str = "constitution.revise";

pub static REVISE: ConstitutionKind = ConstitutionKind {
    kind: KIND,
    summary: "let a base model rewrite its answers by the principles of a constitution",
    schema: || schemars::schema_for!(Arguments),
    gives: Gives {
        outputs: Given::Named(&[("records", "NDJSON of records with their revisions")]),
        values: Given::Named(&[
            ("records", "number of records"),
            ("revised", "records whose answer is a new one without a fault"),
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
    /// Output `records` of `constitution.respond` or a later step; those without a clean answer are passed on.
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
    let (mut asks, mut places) = (Vec::new(), Vec::new());
    for (place, record) in records.iter().enumerate() {
        let Some(response) = record.response.as_ref().filter(|_| record.flags.is_some_and(|flags| flags.is_clean()))
        else {
            continue;
        };
        let principle = drawn(&constitution, arguments.seed, place);
        asks.push(Ask {
            id: record.id.clone(),
            prompt: constitution.prompts.revise(principle, &record.instruction, response),
            wanted: Wanted::Text { sampling: constitution.response_sampling.clone(), stop: stop.clone() },
        });
        places.push((place, principle.name.clone()));
    }
    let common = Common { step: KIND, constitution: &constitution, seed: arguments.seed };
    let (told, _) = ask(context, &base, &common, &asks)?;
    let mut revised = 0_u64;
    for ((place, principle), told) in places.into_iter().zip(told) {
        let record = &mut records[place];
        let response = trim(&told.text).to_owned();
        let flags = flags(&told.text, &response, told.cut_off, base.special());
        revised += u64::from(flags.is_clean() && record.response.as_ref() != Some(&response));
        record.revision = Some(Revision { principle, response, flags });
        record.metadata.steps.push(told.provenance);
    }
    let values = json!({ "records": records.len(), "revised": revised });
    Ok(Outputs::of([("records", publish_lines(context, &records)?)], values))
}

/// The principle for a record.
fn drawn(constitution: &Constitution, seed: u64, place: usize) -> &Principle {
    let mut rng = Rng::new(derive_seed(seed, "constitution.principle", place as u64));
    &constitution.principles[rng.below(constitution.principles.len() as u64) as usize]
}
