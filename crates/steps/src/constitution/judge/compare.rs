//! `constitution.compare`: statistics of the three arms, and the decision that they suggest.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::constitution::files::{constitution, lines, read, stopped};
use crate::constitution::kind::{ConstitutionKind, check_types};
use crate::handler::{StepContext, StepError};
use crate::infer::Source;
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::Failure;
use stepwell_constitution::{Code, Outcome, Stop, Summary, compare, decide};
use stepwell_workflow::catalog::{Given, Gives};

pub static COMPARE: ConstitutionKind = ConstitutionKind {
    kind: "constitution.compare",
    summary: "compare the arms of an evaluation, and say what they suggest: proceed, iterate or stop",
    schema: || schemars::schema_for!(Arguments),
    gives: Gives {
        outputs: Given::Named(&[("comparison", "JSON of rates, tests and types")]),
        values: Given::Named(&[
            ("decision", "`proceed`, `iterate` or `stop`"),
            ("reasons", "why"),
            ("lift", "right answers that the training adds, as a share"),
            ("p", "p of McNemar's test of the training"),
            ("cohen_h", "size of the effect"),
            ("lift_at_equal_length", "lift of answers of equal length"),
        ]),
    },
    files: &["constitution"],
    check: check_types::<Arguments>,
    run,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// The constitution: a path, an output, or `builtin:constitution`.
    constitution: Source,
    /// Output `summary` of `constitution.quality`.
    quality: Source,
    /// Outputs `outcomes` of the three arms.
    base_raw: Source,
    base_format: Source,
    tuned: Source,
    /// Seed of the bootstrap.
    seed: u64,
}

/// Reads the summary of quality control.
pub fn summary(context: &StepContext<'_>, source: &Source) -> Result<Summary, Failure> {
    let unreadable = |error: serde_json::Error| {
        let message = format!("the summary of quality control cannot be read: {error}");
        stopped(Stop::new(Code::InvalidRecord, message, "name the output `summary` of `constitution.quality`"))
    };
    serde_json::from_slice(&read(context, source)?).map_err(unreadable)
}

fn run(context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
    let arguments: Arguments = context.arguments()?;
    let constitution = constitution(context, &arguments.constitution)?;
    let quality = summary(context, &arguments.quality)?;
    let arm = |source: &Source| lines::<Outcome>(context, "the outcomes", source);
    let arms = [arm(&arguments.base_raw)?, arm(&arguments.base_format)?, arm(&arguments.tuned)?];
    let found = compare([&arms[0], &arms[1], &arms[2]], arguments.seed).map_err(stopped)?;
    let (decision, reasons) = decide(&quality, &found, &constitution.gate);
    let values = json!({
        "decision": decision.as_str(), "reasons": reasons, "lift": found.training.lift, "p": found.training.p,
        "cohen_h": found.training.cohen_h, "lift_at_equal_length": found.training.lift_at_equal_length,
    });
    Ok(Outputs::of([("comparison", context.publish_json("the comparison", &found)?)], values))
}
