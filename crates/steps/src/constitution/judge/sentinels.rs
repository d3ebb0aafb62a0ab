//! `constitution.sentinels`: measures what a base model makes of known prompts, and compares it with a recorded baseline.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::constitution::files::{constitution, read, stopped};
use crate::constitution::kind::ConstitutionKind;
use crate::constitution::model::{Ask, BaseArguments, BaseModel, Common, Wanted, ask};
use crate::handler::{StepContext, StepError, arguments};
use crate::infer::Source;
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::Failure;
use stepwell_constitution::{Baseline, Code, Sampling, Stop, compare_sentinels};
use stepwell_workflow::catalog::{Given, Gives};

const KIND: &str = "constitution.sentinels";
/// Most tokens of a continuation.
const MOST_TOKENS: u32 = 32;

pub static SENTINELS: ConstitutionKind = ConstitutionKind {
    kind: KIND,
    summary: "measure what a base model makes of known prompts, and compare it with a recorded baseline",
    schema: || schemars::schema_for!(Arguments),
    gives: Gives {
        outputs: Given::Named(&[(
            "measured",
            "JSON of all continuations; recorded, it is the `baseline` of later runs",
        )]),
        values: Given::Named(&[
            ("sentinels", "number of sentinels"),
            ("passed", "sentinels whose continuation has what they look for"),
            ("groups", "share that passes, by group"),
            ("compared", "true if there was a baseline"),
        ]),
    },
    files: &["constitution", "baseline"],
    check,
    run,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    base: BaseArguments,
    /// The constitution: a path, an output, or `builtin:constitution`.
    constitution: Source,
    /// A recorded output `measured`; an empty path for none: then it is measured only.
    #[serde(default = "no_baseline")]
    baseline: Source,
    /// Largest difference of the rate of a group from that of the baseline.
    #[serde(default = "tolerance")]
    tolerance: f64,
}

fn no_baseline() -> Source {
    Source::Path(String::new())
}

fn tolerance() -> f64 {
    0.25
}

fn check(with: &Value) -> Result<(), Failure> {
    let arguments: Arguments = arguments(with)?;
    match (0.0..=1.0).contains(&arguments.tolerance) {
        true => Ok(()),
        false => Err(Failure::fatal("`tolerance` must be a share from 0 to 1")),
    }
}

fn run(context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
    let arguments: Arguments = context.arguments()?;
    let constitution = constitution(context, &arguments.constitution)?;
    let recorded = match &arguments.baseline {
        Source::Path(path) if path.is_empty() => None,
        source => {
            let unreadable = |error: serde_json::Error| {
                let hint = "keep the output `measured` of this step as the baseline";
                stopped(Stop::new(Code::InvalidRecord, format!("the baseline cannot be read: {error}"), hint))
            };
            Some(serde_json::from_slice::<Baseline>(&read(context, source)?).map_err(unreadable)?)
        }
    };
    let base = BaseModel::open(context, arguments.base)?;
    let sampling = Sampling { max_tokens: MOST_TOKENS, ..constitution.response_sampling.greedy() };
    let asks: Vec<Ask> = constitution
        .sentinels
        .iter()
        .map(|sentinel| Ask {
            id: sentinel.name.clone(),
            prompt: sentinel.prompt.clone(),
            wanted: Wanted::Text { sampling: sampling.clone(), stop: Vec::new() },
        })
        .collect();
    let common = Common { step: KIND, constitution: &constitution, seed: 0 };
    let (told, _) = ask(context, &base, &common, &asks)?;
    let texts: Vec<String> = told.into_iter().map(|told| told.text).collect();
    let measured = Baseline::of(base.digest().to_owned(), &constitution.sentinels, &texts);
    if let Some(recorded) = &recorded {
        compare_sentinels(&measured, recorded, arguments.tolerance).map_err(stopped)?;
    }
    let passed = measured.measured.iter().filter(|found| found.passes).count();
    let values = json!({
        "sentinels": texts.len(), "passed": passed, "groups": measured.groups, "compared": recorded.is_some(),
    });
    Ok(Outputs::of([("measured", context.publish_json("the measured sentinels", &measured)?)], values))
}
