//! Step kind `study.runs`: every arm with every seed.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::handler::{StepContext, StepError, StepHandler, arguments};
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::Failure;
use stepwell_workflow::catalog::{Given, Gives, Placement};

/// Most trainings.
const MOST: usize = 1000;

/// One way to train.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize, JsonSchema)]
struct Arm {
    /// Name in the report.
    name: String,
    /// What it changes, for the templates of the workflow: `item.arm.optimizer`, for example.
    #[serde(flatten)]
    changes: Map<String, Value>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Ways to train. The first is the one that the others are compared with.
    arms: Vec<Arm>,
    /// Seeds; each arm is trained once with each.
    seeds: Vec<u64>,
}

#[derive(Serialize)]
struct Run<'a> {
    index: usize,
    name: &'a str,
    seed: u64,
    arm: &'a Arm,
}

impl Arguments {
    /// # Errors
    /// When nothing can be compared.
    fn check(&self) -> Result<(), Failure> {
        let fail = |message: String, hint: &str| Err(Failure::fatal(message).with_hint(hint));
        if self.arms.len() < 2 || self.seeds.is_empty() {
            return fail(
                "a study needs two arms and a seed at least".to_owned(),
                "for example `arms = [{ name = \"adamw\" }, { name = \"muon\", optimizer = { kind = \"muon\" } }]`, `seeds = [1, 2, 3]`",
            );
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = self.arms.iter().find(|arm| arm.name.trim().is_empty() || !names.insert(&arm.name)) {
            return fail(format!("the arm `{}` has no name of its own", twice.name), "each arm needs another `name`");
        }
        let mut seeds = BTreeSet::new();
        if let Some(twice) = self.seeds.iter().find(|seed| !seeds.insert(*seed)) {
            return fail(
                format!("the seed {twice} is there twice"),
                "a seed that counts twice makes chance look small",
            );
        }
        if self.arms.len().saturating_mul(self.seeds.len()) > MOST {
            return fail(format!("there are more than {MOST} trainings"), "fewer arms or seeds");
        }
        Ok(())
    }
}

pub struct Runs;
pub static RUNS: Runs = Runs;

impl StepHandler for Runs {
    fn kind(&self) -> &'static str {
        "study.runs"
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        "list the trainings of a study: every arm with every seed"
    }

    fn placement(&self) -> Placement {
        Placement::InProcess
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives { outputs: Given::NOTHING, values: Given::Named(&[("runs", "list of `index`, `name`, `seed`, `arm`")]) }
    }

    fn check(&self, with: &Value) -> Result<(), Failure> {
        arguments::<Arguments>(with)?.check()
    }

    /// Looking up an earlier result costs more than running the step.
    fn reusable(&self, _with: &Value) -> bool {
        false
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let Arguments { arms, seeds } = context.arguments()?;
        // Seed by seed: a study that is stopped early has whole pairs.
        let pairs = seeds.iter().flat_map(|seed| arms.iter().map(move |arm| (*seed, arm)));
        let runs: Vec<Run<'_>> =
            pairs.enumerate().map(|(index, (seed, arm))| Run { index, name: &arm.name, seed, arm }).collect();
        Ok(Outputs::of([], json!({ "runs": runs })))
    }
}
