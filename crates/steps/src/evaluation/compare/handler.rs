//! Handler of `eval.compare`.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::difference::{Difference, differences};
use super::items::matched;
use crate::handler::{Highlight, StepContext, StepError, StepHandler, arguments};
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::failure::Failure;
use stepwell_statistics::{Bootstrap, Confidence};
use stepwell_workflow::catalog::{Figure, Given, Gives};

pub struct EvalCompare;
pub static EVAL_COMPARE: EvalCompare = EvalCompare;

/// Most resamples of the bootstrap.
const MOST_RESAMPLES: u32 = 100_000;

const VALUES: [Figure; 6] = [
    Figure::new(
        "tasks",
        "`first`, `second`, `difference`, `low`, `high`, `p`, `p_adjusted` of each metric of each task",
    ),
    Figure::new("items", "items that both have"),
    Figure::new("tests", "numbers that were compared").label("numbers compared"),
    Figure::new("better", "numbers in which `second` is better, with an adjusted p below 1 - `confidence`")
        .label("second is better in"),
    Figure::new("worse", "numbers in which it is worse").label("second is worse in"),
    Figure::new("least_p", "the smallest adjusted p").label("smallest adjusted p"),
];

/// Arguments of the `eval.compare` step.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Output `items` of the evaluation of one model.
    first: ArtifactRef,
    /// The same of another, on the same items. Differences are `second` less `first`.
    second: ArtifactRef,
    /// Share of intervals that hold the true difference.
    #[serde(default = "default_confidence")]
    confidence: f64,
    /// Draws of the bootstrap.
    #[serde(default = "default_resamples")]
    resamples: u32,
    /// Equal seeds give equal intervals.
    #[serde(default = "default_seed")]
    seed: u64,
}

fn default_confidence() -> f64 {
    0.95
}

fn default_resamples() -> u32 {
    2000
}

fn default_seed() -> u64 {
    42
}

impl Arguments {
    fn bootstrap(&self) -> Result<Bootstrap, Failure> {
        let confidence =
            Confidence::new(self.confidence).map_err(|error| Failure::fatal(format!("`confidence`: {error}")))?;
        if !(100..=MOST_RESAMPLES).contains(&self.resamples) {
            return Err(Failure::fatal(format!(
                "`resamples` is {}; it must be 100 to {MOST_RESAMPLES}",
                self.resamples
            )));
        }
        Ok(Bootstrap { resamples: self.resamples, seed: self.seed, confidence })
    }
}

impl StepHandler for EvalCompare {
    fn kind(&self) -> &'static str {
        "eval.compare"
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        "test whether two models differ, on the same items"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives { outputs: Given::Named(&[("comparison", "JSON of all differences")]), values: Given::Figures(&VALUES) }
    }

    fn highlight(&self) -> Highlight {
        Highlight::Numbers
    }

    fn check(&self, with: &Value) -> Result<(), Failure> {
        arguments::<Arguments>(with)?.bootstrap().map(drop)
    }

    fn leaves_no_trace(&self) -> bool {
        true
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let arguments: Arguments = context.arguments()?;
        let bootstrap = arguments.bootstrap()?;
        let tasks = matched(context.artifacts, [&arguments.first, &arguments.second])?;
        context.check_interrupt()?;
        let items: usize = tasks.values().map(Vec::len).sum();
        let found = differences(&tasks, bootstrap);
        let all = || found.values().flat_map(|metrics| metrics.iter());
        let limit = 1.0 - bootstrap.confidence.share();
        let clear = |name: &str, difference: &Difference| {
            (difference.p_adjusted < limit).then_some(is_better(name, difference))
        };
        let count = |wanted: bool| all().filter(|(name, found)| clear(name, found) == Some(wanted)).count();
        let least = all().map(|(_, difference)| difference.p_adjusted).reduce(f64::min);
        let file = json!({
            "schema": 1,
            "confidence": arguments.confidence,
            "resamples": arguments.resamples,
            "seed": arguments.seed,
            "tasks": found,
        });
        let comparison = context.publish_json("the comparison", &file)?;
        let values = json!({
            "tasks": found,
            "items": items,
            "tests": all().count(),
            "better": count(true),
            "worse": count(false),
            "least_p": least,
        });
        Ok(Outputs::of([("comparison", comparison)], values))
    }
}

/// Fewer bits per byte are better; more right answers are.
fn is_better(name: &str, difference: &Difference) -> bool {
    if name == "bits_per_byte" { difference.difference < 0.0 } else { difference.difference > 0.0 }
}
