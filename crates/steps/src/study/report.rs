//! Step kind `study.report`: one report about all trainings of a study.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::compare::{Arm, Result as Measured, arms};
use super::table::table;
use crate::handler::{Highlight, StepContext, StepError, StepHandler, arguments};
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::Failure;
use stepwell_statistics::Confidence;
use stepwell_workflow::catalog::{Given, Gives};

const MARKDOWN: &str = "text/markdown; charset=utf-8";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// `steps.ID.children` of the fan-out that measures the trainings of `study.runs`.
    runs: Vec<Child>,
    /// Name of the value to compare, such as `bits_per_byte`.
    value: String,
    /// Which values are better: `lower` or `higher`.
    #[serde(default)]
    better: Better,
    /// Share of intervals that hold the true value.
    #[serde(default = "usual_confidence")]
    confidence: f64,
    /// Heading of the report.
    #[serde(default)]
    title: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Better {
    #[default]
    Lower,
    Higher,
}

/// A child of the fan-out.
#[derive(Deserialize, JsonSchema)]
struct Child {
    item: Item,
    values: Map<String, Value>,
}

/// What `study.runs` has made of the child.
#[derive(Deserialize, JsonSchema)]
struct Item {
    name: String,
    seed: u64,
}

fn usual_confidence() -> f64 {
    Confidence::P95.share()
}

impl Arguments {
    fn confidence(&self) -> Result<Confidence, Failure> {
        Confidence::new(self.confidence).map_err(|error| Failure::fatal(format!("`confidence`: {error}")))
    }

    /// # Errors
    /// When a training lacks the value: a mean over the others would mislead.
    fn measured(&self) -> Result<Vec<Measured>, Failure> {
        let of = |Child { item, values }: &Child| match values.get(&self.value).and_then(Value::as_f64) {
            Some(value) => Ok(Measured { arm: item.name.clone(), seed: item.seed, value }),
            None => {
                let known: Vec<&str> =
                    values.iter().filter(|(_, value)| value.is_number()).map(|(name, _)| name.as_str()).collect();
                let message = format!("`{}` with seed {} has no number `{}`", item.name, item.seed, self.value);
                Err(Failure::fatal(message).with_hint(format!("its numbers are: {}", known.join(", "))))
            }
        };
        self.runs.iter().map(of).collect()
    }
}

pub struct Report;
pub static REPORT: Report = Report;

impl StepHandler for Report {
    fn kind(&self) -> &'static str {
        "study.report"
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        "compare the arms of a study, with intervals over seeds"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives {
            outputs: Given::Named(&[("report", "folder with `study.json` and `study.md`")]),
            values: Given::Named(&[
                ("arms", "list of `name`, `seeds`, `mean`, `low`, `high`, `deviation`, `difference`"),
                ("best", "name of the arm with the best mean, or null"),
            ]),
        }
    }

    fn highlight(&self) -> Highlight {
        Highlight::Folder("report")
    }

    fn check(&self, with: &Value) -> Result<(), Failure> {
        // Results come from steps: before the run, a placeholder stands for them.
        if with.get("runs").is_none_or(Value::is_array) {
            arguments::<Arguments>(with)?.confidence()?;
        }
        Ok(())
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let arguments: Arguments = context.arguments()?;
        let confidence = arguments.confidence()?;
        let measured = arguments.measured()?;
        let arms = arms(&measured, confidence);
        let Arguments { value, better, title, .. } = &arguments;
        let best = arms.iter().min_by(|one, other| rank(one, *better).total_cmp(&rank(other, *better)));
        let each: Vec<Value> =
            measured.iter().map(|one| json!({ "arm": one.arm, "seed": one.seed, "value": one.value })).collect();
        let report = json!({
            "schema": 1, "value": value, "better": better, "confidence": confidence.share(), "arms": arms,
            "best": best.map(|arm| &arm.name), "runs": each,
        });
        let json = context.publish_json("the report", &report)?;
        let text = context.artifacts.put_bytes(table(title, value, *better, confidence, &arms).as_bytes(), MARKDOWN)?;
        let files = [("study.json".to_owned(), json), ("study.md".to_owned(), text)].into();
        let values = json!({ "arms": arms, "best": best.map(|arm| &arm.name) });
        Ok(Outputs::of([("report", context.artifacts.put_tree(&files)?)], values))
    }
}

fn rank(arm: &Arm, better: Better) -> f64 {
    match better {
        Better::Lower => arm.mean,
        Better::Higher => -arm.mean,
    }
}
