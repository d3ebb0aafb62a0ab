//! `constitution.instructions`: the base model continues numbered lists of seeds; the item that it writes is an instruction.

use std::collections::BTreeSet;
use std::num::NonZeroU64;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::constitution::files::{constitution, publish_lines};
use crate::constitution::kind::ConstitutionKind;
use crate::constitution::model::{Ask, BaseArguments, BaseModel, Common, Wanted, ask};
use crate::handler::{StepContext, StepError, arguments};
use crate::infer::Source;
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::Failure;
use stepwell_base::rng::{Rng, derive_seed};
use stepwell_constitution::{Constitution, CutOff, Metadata, Provenance, Record, flags, normalised, numbered_list};
use stepwell_workflow::catalog::{Given, Gives};

const KIND: &str = "constitution.instructions";
/// Most requests of a step.
const MOST: u64 = 100_000;
/// Bytes of an instruction.
const BYTES: std::ops::RangeInclusive<usize> = 8..=400;

pub static INSTRUCTIONS: ConstitutionKind = ConstitutionKind {
    kind: KIND,
    summary: "let a base model write instructions, as items of lists",
    schema: || schemars::schema_for!(Arguments),
    gives: Gives {
        outputs: Given::Named(&[
            ("records", "NDJSON of instructions"),
            ("refused", "NDJSON of items that are none, with reasons"),
        ]),
        values: Given::Named(&[
            ("asked", "items that the model wrote"),
            ("records", "instructions"),
            ("refused", "items that are none"),
        ]),
    },
    files: &["constitution"],
    check,
    run,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    base: BaseArguments,
    /// The constitution: a path, an output, or `builtin:constitution`.
    constitution: Source,
    /// Items that the model writes; some of them are refused.
    count: NonZeroU64,
    /// Equal seeds give equal bytes.
    seed: u64,
}

/// An item that is no instruction.
#[derive(Serialize)]
struct Refused<'a> {
    schema: u32,
    text: &'a str,
    reason: &'static str,
    provenance: &'a Provenance,
}

fn check(with: &Value) -> Result<(), Failure> {
    let arguments: Arguments = arguments(with)?;
    match arguments.count.get() > MOST {
        true => Err(Failure::fatal(format!("`count` is at most {MOST}"))),
        false => Ok(()),
    }
}

fn run(context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
    let arguments: Arguments = context.arguments()?;
    let constitution = constitution(context, &arguments.constitution)?;
    let base = BaseModel::open(context, arguments.base)?;
    let item = |number: u64| Ask {
        id: format!("i-{number:06}"),
        prompt: numbered_list(&constitution.prompts.instructions, shots(&constitution, arguments.seed, number)),
        wanted: Wanted::Text { sampling: constitution.instruction_sampling.clone(), stop: vec!["\n".to_owned()] },
    };
    let asks: Vec<Ask> = (0..arguments.count.get()).map(item).collect();
    let common = Common { step: KIND, constitution: &constitution, seed: arguments.seed };
    let (told, _) = ask(context, &base, &common, &asks)?;
    let mut seen: BTreeSet<String> = constitution.seeds.iter().map(|seed| normalised(seed)).collect();
    let (mut records, mut refused) = (Vec::new(), Vec::new());
    for (told, ask) in told.iter().zip(&asks) {
        let text = told.text.trim();
        match refusal(text, told.cut_off, base.special(), &mut seen) {
            Some(reason) => refused.push(Refused { schema: 1, text, reason, provenance: &told.provenance }),
            None => records.push(Record {
                schema: 1,
                id: ask.id.clone(),
                instruction: text.to_owned(),
                response: None,
                flags: None,
                instruction_critique: None,
                pair_critique: None,
                revision: None,
                prompt: None,
                completion: None,
                metadata: Metadata { steps: vec![told.provenance.clone()] },
            }),
        }
    }
    if records.is_empty() {
        return Err(Failure::fatal(format!("none of the {} items is an instruction", asks.len()))
            .with_hint("look at the seeds and at `prompts.instructions` of the constitution")
            .into());
    }
    let values = json!({ "asked": asks.len(), "records": records.len(), "refused": refused.len() });
    let outputs = [("records", publish_lines(context, &records)?), ("refused", publish_lines(context, &refused)?)];
    Ok(Outputs::of(outputs, values))
}

/// Seeds of one list: different ones, in random order.
fn shots(constitution: &Constitution, seed: u64, number: u64) -> Vec<&str> {
    let mut rng = Rng::new(derive_seed(seed, "constitution.shots", number));
    let mut seeds: Vec<&str> = constitution.seeds.iter().map(String::as_str).collect();
    for place in 0..constitution.shots {
        let other = place + rng.below((seeds.len() - place) as u64) as usize;
        seeds.swap(place, other);
    }
    seeds.truncate(constitution.shots);
    seeds
}

/// Why a text is no instruction, or one that there is already.
fn refusal(text: &str, cut_off: CutOff, special: &[String], seen: &mut BTreeSet<String>) -> Option<&'static str> {
    let faults = flags(text, text, cut_off, special);
    match () {
        () if !BYTES.contains(&text.len()) => Some("length"),
        () if faults.leak => Some("delimiter"),
        () if faults.runaway => Some("repeats itself"),
        () if faults.token_limit => Some("cut off"),
        () if !seen.insert(normalised(text)) => Some("duplicate"),
        () => None,
    }
}
