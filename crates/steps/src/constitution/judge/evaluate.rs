//! `constitution.evaluate`: one arm answers the items, greedily, and a calibrated scorer judges.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::constitution::data::ENDS;
use crate::constitution::files::{constitution, lines, publish_lines, read, stopped};
use crate::constitution::kind::{ConstitutionKind, check_types};
use crate::constitution::model::{Ask, BaseArguments, BaseModel, Common, Wanted, ask};
use crate::handler::{StepContext, StepError};
use crate::infer::Source;
use stepwell_base::artifact::Outputs;
use stepwell_constitution::{Arm, Calibration, Code, Item, Outcome, Stop, trim};
use stepwell_workflow::catalog::{Given, Gives};

const KIND: &str = "constitution.evaluate";

pub static EVALUATE: ConstitutionKind = ConstitutionKind {
    kind: KIND,
    summary: "let one arm answer the items of an evaluation, and score the answers",
    schema: || schemars::schema_for!(Arguments),
    gives: Gives {
        outputs: Given::Named(&[("outcomes", "NDJSON of all items with answer and judgement")]),
        values: Given::Named(&[
            ("items", "number of items"),
            ("right", "right answers"),
            ("rate", "share of right answers"),
            ("mean_length", "mean characters of an answer"),
        ]),
    },
    files: &["constitution", "items"],
    check: check_types::<Arguments>,
    run,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    base: BaseArguments,
    /// The constitution: a path, an output, or `builtin:constitution`.
    constitution: Source,
    /// Items: a path, an output, or `builtin:evaluation`.
    items: Source,
    /// `base_raw` gets the instruction only, `base_format` and `tuned` the format of the training.
    arm: Arm,
    /// Output of `constitution.calibrate`: the scorer that has passed.
    calibration: Source,
    /// The first so many items; 0 for all.
    #[serde(default)]
    limit: u64,
}

fn run(context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
    let arguments: Arguments = context.arguments()?;
    let constitution = constitution(context, &arguments.constitution)?;
    let calibration: Calibration =
        serde_json::from_slice(&read(context, &arguments.calibration)?).map_err(|error| {
            let message = format!("the calibration cannot be read: {error}");
            stopped(Stop::new(Code::ScorerNotCalibrated, message, "run `constitution.calibrate` and name its output"))
        })?;
    if !calibration.passed {
        let message = format!("the scorer `{}` has not passed its calibration set", calibration.scorer.as_str());
        return Err(stopped(Stop::new(Code::ScorerNotCalibrated, message, "use a scorer that passes")).into());
    }
    let mut items: Vec<Item> = lines(context, "`items`", &arguments.items)?;
    if arguments.limit > 0 {
        items.truncate(usize::try_from(arguments.limit).unwrap_or(usize::MAX));
    }
    let base = BaseModel::open(context, arguments.base)?;
    let stop: Vec<String> = ENDS.iter().map(|end| (*end).to_owned()).collect();
    let asked = |item: &Item| Ask {
        id: item.id.clone(),
        prompt: match arguments.arm {
            Arm::BaseRaw => format!("{}\n", item.instruction),
            Arm::BaseFormat | Arm::Tuned => constitution.prompts.respond(&item.instruction),
        },
        wanted: Wanted::Text { sampling: constitution.response_sampling.greedy(), stop: stop.clone() },
    };
    let asks: Vec<Ask> = items.iter().map(asked).collect();
    let common = Common { step: KIND, constitution: &constitution, seed: 0 };
    let (told, _) = ask(context, &base, &common, &asks)?;
    let outcome = |(item, told): (Item, crate::constitution::model::Told)| {
        let answer = trim(&told.text).to_owned();
        Outcome {
            schema: 1,
            arm: arguments.arm,
            is_right: calibration.scorer.is_right(&item, &answer),
            length: answer.chars().count() as u64,
            item,
            answer,
            calibration: calibration.clone(),
            provenance: told.provenance,
        }
    };
    let outcomes: Vec<Outcome> = items.into_iter().zip(told).map(outcome).collect();
    let right = outcomes.iter().filter(|outcome| outcome.is_right).count();
    let count = outcomes.len().max(1) as f64;
    let length = outcomes.iter().map(|outcome| outcome.length as f64).sum::<f64>() / count;
    let values =
        json!({ "items": outcomes.len(), "right": right, "rate": right as f64 / count, "mean_length": length });
    Ok(Outputs::of([("outcomes", publish_lines(context, &outcomes)?)], values))
}
