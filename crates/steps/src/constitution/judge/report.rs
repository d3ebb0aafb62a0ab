//! `gate.report`: writes `gate.json`, with the decision and who approved it.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::compare::summary;
use crate::constitution::files::{constitution, read, stopped};
use crate::constitution::kind::{ConstitutionKind, check_types};
use crate::handler::{StepContext, StepError};
use crate::infer::Source;
use stepwell_base::artifact::Outputs;
use stepwell_constitution::{Approval, Code, Comparison, GateReport, Stop, decide};
use stepwell_workflow::catalog::{Given, Gives};

pub static REPORT: ConstitutionKind = ConstitutionKind {
    kind: "gate.report",
    summary: "write `gate.json`: the decision, its reasons, and who approved it",
    schema: || schemars::schema_for!(Arguments),
    gives: Gives {
        outputs: Given::Named(&[("gate", "`gate.json`")]),
        values: Given::Named(&[
            ("decision", "`proceed`, `iterate` or `stop`"),
            ("reasons", "why"),
            ("approved", "true if the rule or a person let the run pass"),
            ("approver", "the person, or null if the rule decided alone"),
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
    /// Output `comparison` of `constitution.compare`.
    comparison: Source,
    /// Values of a step of kind `gate` or `approval`: `approved`, `approver`, `comment`.
    approval: Approval,
}

fn run(context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
    let arguments: Arguments = context.arguments()?;
    let constitution = constitution(context, &arguments.constitution)?;
    let quality = summary(context, &arguments.quality)?;
    let comparison: Comparison = serde_json::from_slice(&read(context, &arguments.comparison)?).map_err(|error| {
        let message = format!("the comparison cannot be read: {error}");
        stopped(Stop::new(Code::InvalidRecord, message, "name the output `comparison` of `constitution.compare`"))
    })?;
    let (decision, reasons) = decide(&quality, &comparison, &constitution.gate);
    let Approval { approved, approver, .. } = &arguments.approval;
    let values =
        json!({ "decision": decision.as_str(), "reasons": reasons, "approved": approved, "approver": approver });
    let report = GateReport {
        schema: 1,
        decision,
        reasons,
        approval: arguments.approval,
        quality,
        comparison,
        constitution: constitution.digest().as_str().to_owned(),
    };
    Ok(Outputs::of([("gate", context.publish_json("the report", &report)?)], values))
}
