//! Step kind `infer.cells`: every combination, once.

use std::num::NonZeroU64;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::cell::Setting;
use crate::finding::{Finding, Weight};
use crate::handler::{StepContext, StepError, StepHandler, arguments};
use crate::infer::arguments::Dtype;
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::Failure;
use stepwell_workflow::catalog::{Given, Gives, Placement};

/// Most cells. Each takes seconds to minutes.
const MOST: usize = 10_000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Paths of Hugging Face folders or GGUF files.
    models: Vec<String>,
    /// Types in which the weights are kept.
    dtypes: Vec<Dtype>,
    /// Numbers of requests.
    batches: Vec<NonZeroU64>,
    /// Numbers of requests that are computed at once. More than the batch has are as many as it has.
    concurrency: Vec<NonZeroU64>,
}

pub struct Cells;
pub static CELLS: Cells = Cells;

impl Arguments {
    /// # Errors
    /// When a list is empty, or there are too many combinations.
    fn cells(&self) -> Result<Vec<Setting>, Failure> {
        let lengths = [
            ("models", self.models.len()),
            ("dtypes", self.dtypes.len()),
            ("batches", self.batches.len()),
            ("concurrency", self.concurrency.len()),
        ];
        if let Some((name, _)) = lengths.iter().find(|(_, length)| *length == 0) {
            return Err(
                Failure::fatal(format!("`{name}` is an empty list")).with_hint("each list has a value at least")
            );
        }
        if self.models.iter().any(|model| model.trim().is_empty()) {
            return Err(Failure::fatal("`models` has an empty path"));
        }
        let all = lengths.iter().try_fold(1_usize, |all, (_, length)| all.checked_mul(*length));
        if all.is_none_or(|all| all > MOST) {
            return Err(Failure::fatal(format!("there are more than {MOST} combinations")));
        }
        let mut cells: Vec<Setting> = Vec::new();
        for model in &self.models {
            for dtype in &self.dtypes {
                for batch in &self.batches {
                    for concurrency in &self.concurrency {
                        let concurrency = *concurrency.min(batch);
                        let cell = Setting { model: model.clone(), dtype: *dtype, batch: *batch, concurrency };
                        if !cells.contains(&cell) {
                            cells.push(cell);
                        }
                    }
                }
            }
        }
        Ok(cells)
    }
}

impl StepHandler for Cells {
    fn kind(&self) -> &'static str {
        "infer.cells"
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        "list what a matrix of models, types, batches and concurrency measures"
    }

    fn placement(&self) -> Placement {
        Placement::InProcess
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives {
            outputs: Given::NOTHING,
            values: Given::Named(&[("cells", "list of `model`, `dtype`, `batch`, `concurrency`")]),
        }
    }

    fn check(&self, with: &Value) -> Result<(), Failure> {
        let arguments: Arguments = arguments(with)?;
        // The workflow leaves it to the person who starts it: `look_ahead` names it then.
        if arguments.models.is_empty() { Ok(()) } else { arguments.cells().map(drop) }
    }

    fn look_ahead(&self, with: &Map<String, Value>, _project: &Path) -> Vec<Finding> {
        let is_empty = with.get("models").and_then(Value::as_array).is_some_and(Vec::is_empty);
        let finding = || Finding {
            argument: "models".to_owned(),
            weight: Weight::Unset,
            message: "`models` is empty".to_owned(),
            hint: "name models: `-S 'models=[\"PATH\"]'`".to_owned(),
        };
        is_empty.then(finding).into_iter().collect()
    }

    /// Looking up an earlier result costs more than running the step.
    fn reusable(&self, _with: &Value) -> bool {
        false
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let cells = context.arguments::<Arguments>()?.cells()?;
        Ok(Outputs::of([], json!({ "cells": cells })))
    }
}
