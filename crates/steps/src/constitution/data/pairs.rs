//! `constitution.pairs`: the base model prefers the first answer or its revision, by the principle of the revision.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::constitution::files::{constitution, lines, publish_lines, stopped};
use crate::constitution::kind::{ConstitutionKind, check_types};
use crate::constitution::model::{Ask, BaseArguments, BaseModel, Common, Wanted, ask};
use crate::handler::{StepContext, StepError};
use crate::infer::Source;
use stepwell_base::artifact::Outputs;
use stepwell_constitution::{Code, Metadata, Preference, PreferencePair, Record, Stop};
use stepwell_workflow::catalog::{Given, Gives};

const KIND: &str = "constitution.pairs";

pub static PAIRS: ConstitutionKind = ConstitutionKind {
    kind: KIND,
    summary: "make preference pairs of answers and their revisions, judged by the principles",
    schema: || schemars::schema_for!(Arguments),
    gives: Gives {
        outputs: Given::Named(&[("pairs", "NDJSON with `prompt`, `chosen` and `rejected`, and how they were judged")]),
        values: Given::Named(&[
            ("judged", "pairs that were judged"),
            ("pairs", "pairs with a margin that counts"),
            ("revision_preferred", "pairs among them in which the revision is chosen"),
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
    /// Output `records` of `constitution.quality`.
    records: Source,
    /// Equal seeds give equal bytes.
    seed: u64,
}

fn run(context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
    let arguments: Arguments = context.arguments()?;
    let constitution = constitution(context, &arguments.constitution)?;
    let records: Vec<Record> = lines(context, "`records`", &arguments.records)?;
    let base = BaseModel::open(context, arguments.base)?;
    let (mut asks, mut judged) = (Vec::new(), Vec::new());
    for record in &records {
        let (Some(response), Some(revision)) = (&record.response, &record.revision) else { continue };
        if !revision.flags.is_clean() || revision.response == *response {
            continue;
        }
        let principle = constitution.principle(&revision.principle).ok_or_else(|| {
            let message = format!(
                "the record `{}` was revised by `{}`, which this constitution does not have",
                record.id, revision.principle
            );
            stopped(Stop::new(Code::InvalidRecord, message, "use the constitution that the records were made with"))
        })?;
        // Both orders, because a small model prefers a place.
        for (order, first, second) in [("a", response, &revision.response), ("b", &revision.response, response)] {
            let prompt = constitution.prompts.preference(principle, &record.instruction, first, second);
            asks.push(Ask { id: format!("{}-{order}", record.id), prompt, wanted: Wanted::Labels });
        }
        judged.push((record, response, revision));
    }
    let common = Common { step: KIND, constitution: &constitution, seed: arguments.seed };
    let (told, _) = ask(context, &base, &common, &asks)?;
    let (mut pairs, mut preferred) = (Vec::new(), 0_u64);
    for ((record, response, revision), told) in judged.iter().zip(told.chunks(2)) {
        let [as_a, as_b] = told else { continue };
        let (Some(first_as_a), Some(first_as_b)) = (as_a.labels, as_b.labels) else { continue };
        let preference = Preference::of(first_as_a, first_as_b);
        if preference.margin == 0.0 || preference.margin.abs() < constitution.critic.min_margin {
            continue;
        }
        let (chosen, rejected) = match preference.margin > 0.0 {
            true => (*response, &revision.response),
            false => (&revision.response, *response),
        };
        preferred += u64::from(preference.margin < 0.0);
        let own = record.metadata.steps.iter().chain([&as_a.provenance, &as_b.provenance]);
        pairs.push(PreferencePair {
            schema: 1,
            id: record.id.clone(),
            prompt: constitution.prompts.respond(&record.instruction),
            chosen: format!(" {chosen}"),
            rejected: format!(" {rejected}"),
            principle: revision.principle.clone(),
            preference,
            metadata: Metadata { steps: own.cloned().collect() },
        });
    }
    let values = json!({ "judged": judged.len(), "pairs": pairs.len(), "revision_preferred": preferred });
    Ok(Outputs::of([("pairs", publish_lines(context, &pairs)?)], values))
}
