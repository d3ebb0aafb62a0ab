//! Kinds whose steps wait or are decided by the engine: `gate`, `approval`, `signal` and `workflow`. They have no
//! attempts, so they hold no slot.

use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use serde_json::{Map, Value};

use stepwell_base::artifact::Outputs;
use stepwell_base::failure::Failure;
use stepwell_run::command::{AtClaim, OnFalse};
use stepwell_run::event::{Ruling, Verdict, Wait};
use stepwell_workflow::catalog::{Given, Gives, Placement};
use stepwell_workflow::kinds::{APPROVAL, GATE, SIGNAL, WORKFLOW};
use stepwell_workflow::template;

use super::handler::arguments;
use super::{StepContext, StepError, StepHandler};

/// Arguments of `gate`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Gate {
    /// Expression over the names in `inputs` that is true or false, such as `loss < 2.5 and documents > 100`.
    #[schemars(extend("examples" = ["loss < 2.5"]))]
    rule: String,
    /// Values that the rule judges.
    #[schemars(extend("examples" = [{ "loss": "{{ steps.train.values.loss }}" }]))]
    #[serde(default)]
    inputs: Map<String, Value>,
    /// Reaction to a false rule.
    #[serde(default)]
    on_false: FalseRule,
    /// Question for a person with `on_false = "ask"` [default: quotes the false rule].
    #[serde(default)]
    prompt: Option<String>,
}

/// [`OnFalse`] as a workflow file says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum FalseRule {
    /// The step fails.
    #[default]
    Fail,
    /// The step succeeds with the value `passed = false`.
    Continue,
    /// The step waits for a person.
    Ask,
}

/// Arguments of `approval`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Approval {
    /// Question for the person.
    #[schemars(extend("examples" = ["Publish this model?"]))]
    prompt: String,
    /// Values that the person judges; kept with the decision.
    #[serde(default)]
    inputs: Map<String, Value>,
}

/// Arguments of `signal`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Signal {
    /// Name of the signal to wait for.
    #[schemars(extend("examples" = ["data-arrived"]))]
    name: String,
}

/// Arguments of `workflow`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Workflow {
    /// Name of a workflow, or path of a TOML file next to this one. Not a template.
    #[expect(dead_code, reason = "found and pinned when the run is submitted")]
    workflow: String,
    /// Values that replace the defaults of its params.
    #[serde(default)]
    params: Map<String, Value>,
}

pub(super) struct WaitingKind {
    kind: &'static str,
    summary: &'static str,
    schema: fn() -> Schema,
    gives: Gives,
    at_claim: fn(&Value) -> Result<AtClaim, Failure>,
}

/// Results of a decision, made by a rule or by a person.
const DECIDED: Gives = Gives {
    outputs: Given::NOTHING,
    values: Given::Named(&[
        ("passed", "true, or false with `on_false = \"continue\"`"),
        ("approver", "who decided; missing when a rule did"),
        ("comment", "why; missing without one"),
    ]),
};

pub(super) static KIND_GATE: WaitingKind = WaitingKind {
    kind: GATE,
    summary: "continues when a rule over values of earlier steps is true; records the decision",
    schema: || schema_for!(Gate),
    gives: DECIDED,
    at_claim: gate,
};
pub(super) static KIND_APPROVAL: WaitingKind = WaitingKind {
    kind: APPROVAL,
    summary: "waits for a person: `stepwell approve RUN STEP`",
    schema: || schema_for!(Approval),
    gives: DECIDED,
    at_claim: approval,
};
pub(super) static KIND_SIGNAL: WaitingKind = WaitingKind {
    kind: SIGNAL,
    summary: "waits for a signal and gives its payload: `stepwell signal RUN NAME`",
    schema: || schema_for!(Signal),
    gives: Gives {
        outputs: Given::NOTHING,
        values: Given::Named(&[("name", "name of the signal"), ("payload", "what was sent with it")]),
    },
    at_claim: signal,
};
pub(super) static KIND_WORKFLOW: WaitingKind = WaitingKind {
    kind: WORKFLOW,
    summary: "runs another workflow and gives its `[outputs]`",
    schema: || schema_for!(Workflow),
    gives: Gives { outputs: Given::OfChild, values: Given::OfChild },
    at_claim: workflow,
};

impl StepHandler for WaitingKind {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        self.summary
    }

    /// The engine decides these steps at once, without a slot.
    fn placement(&self) -> Placement {
        Placement::InProcess
    }

    fn schema(&self) -> Schema {
        (self.schema)()
    }

    fn gives(&self) -> Gives {
        self.gives
    }

    fn reusable(&self, _with: &Value) -> bool {
        false
    }

    fn at_claim(&self, with: &Value) -> Result<Option<AtClaim>, Failure> {
        (self.at_claim)(with).map(Some)
    }

    fn run(&self, _context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        Err(Failure::fatal(format!("a step of kind `{}` has no attempts", self.kind)).into())
    }
}

fn gate(with: &Value) -> Result<AtClaim, Failure> {
    let Gate { rule, inputs, on_false, prompt } = arguments(with)?;
    let verdict = if template::rule(&rule, &inputs)? { Verdict::Approved } else { Verdict::Rejected };
    let on_false = match on_false {
        FalseRule::Fail => OnFalse::Fail,
        FalseRule::Continue => OnFalse::Continue,
        FalseRule::Ask => {
            OnFalse::Ask { prompt: prompt.unwrap_or_else(|| format!("the rule `{rule}` is false: continue anyway?")) }
        }
    };
    let ruling = Ruling { rule, inputs: Value::Object(inputs), verdict, approver: None, comment: None };
    Ok(AtClaim::Rule { ruling, on_false })
}

fn approval(with: &Value) -> Result<AtClaim, Failure> {
    let Approval { prompt, inputs } = arguments(with)?;
    Ok(AtClaim::Wait(Wait::Approval { prompt, inputs: Value::Object(inputs) }))
}

fn signal(with: &Value) -> Result<AtClaim, Failure> {
    let Signal { name } = arguments(with)?;
    Ok(AtClaim::Wait(Wait::Signal { name }))
}

fn workflow(with: &Value) -> Result<AtClaim, Failure> {
    let Workflow { params, .. } = arguments(with)?;
    Ok(AtClaim::StartChild { params })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdict(with: Value) -> Result<Verdict, String> {
        match gate(&with) {
            Ok(AtClaim::Rule { ruling, .. }) => Ok(ruling.verdict),
            Ok(other) => Err(format!("{other:?}")),
            Err(failure) => Err(failure.message),
        }
    }

    #[test]
    fn a_rule_judges_its_inputs() {
        for (rule, expected) in [
            ("loss < 2.5", Verdict::Approved),
            ("loss < 2.5 and samples | length >= 3", Verdict::Rejected),
            ("scores.grammar > 0.5 or loss > 3", Verdict::Approved),
        ] {
            let inputs = json!({ "loss": 2.25, "samples": ["a", "b"], "scores": { "grammar": 0.75 } });
            assert_eq!(verdict(json!({ "rule": rule, "inputs": inputs })), Ok(expected), "{rule}");
        }
    }

    #[test]
    fn a_rule_that_judges_nothing_is_an_error_not_a_verdict() {
        for (with, message) in [
            (json!({ "rule": "loss < 2.5", "inputs": { "loss": null } }), "`loss` is null"),
            (json!({ "rule": "los < 2.5", "inputs": { "loss": 1 } }), "unknown name `los`"),
            (json!({ "rule": "scores.x < 2.5", "inputs": { "scores": {} } }), "undefined"),
            (json!({ "rule": "loss", "inputs": { "loss": 1 } }), "not true or false"),
            (json!({ "rule": "loss <", "inputs": { "loss": 1 } }), "rule: "),
        ] {
            let error = verdict(with.clone()).expect_err(&with.to_string());
            assert!(error.contains(message), "{with}: {error}");
        }
    }
}
