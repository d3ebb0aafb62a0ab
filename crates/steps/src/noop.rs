//! `noop`: returns the values it was given. Useful for gates, constants and measurements of the engine.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use stepwell_base::artifact::Outputs;
use stepwell_workflow::catalog::{Given, Gives, Placement};

use super::{StepContext, StepError, StepHandler};

/// Arguments of `noop`.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct Arguments {
    /// Values for other steps, by name.
    values: Map<String, Value>,
}

pub(super) struct Noop;

impl StepHandler for Noop {
    fn kind(&self) -> &'static str {
        "noop"
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        "gives back the values it was given"
    }

    fn placement(&self) -> Placement {
        Placement::InProcess
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives { outputs: Given::NOTHING, values: Given::KeysOf("values") }
    }

    /// Looking up an earlier result costs more than running the step.
    fn reusable(&self, _with: &Value) -> bool {
        false
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let Arguments { values } = context.arguments()?;
        Ok(Outputs { artifacts: BTreeMap::new(), values })
    }
}
