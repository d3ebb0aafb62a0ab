//! Step kind `infer.matrix`: one report about all cells, for programs and for people.

use std::num::NonZeroU64;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cell::{Measured, Setting};
use super::page::page;
use crate::handler::{Highlight, StepContext, StepError, StepHandler, arguments};
use crate::infer::arguments::Dtype;
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::Failure;
use stepwell_workflow::catalog::{Given, Gives};

const HTML: &str = "text/html; charset=utf-8";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// `steps.ID.children` of the cells.
    cells: Vec<Cell>,
    /// Heading of the page.
    #[serde(default)]
    title: String,
}

/// A child of the fan-out.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
pub(super) struct Cell {
    #[serde(rename = "item")]
    pub setting: Setting,
    #[serde(rename = "values")]
    pub measured: Measured,
}

/// The cells that are best at something.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Best<'a> {
    /// Most tokens per second among cells without failures.
    pub fastest: Option<&'a Cell>,
    /// Shortest 99th percentile of the latency.
    pub quickest: Option<&'a Cell>,
    /// Least memory.
    pub smallest: Option<&'a Cell>,
}

/// A cell in the report.
#[derive(Serialize)]
struct Entry<'a> {
    model: &'a str,
    dtype: Dtype,
    batch: NonZeroU64,
    concurrency: NonZeroU64,
    measured: &'a Measured,
}

pub struct Matrix;
pub static MATRIX: Matrix = Matrix;

impl<'a> Best<'a> {
    pub(super) fn of(cells: &'a [Cell]) -> Best<'a> {
        let good = || cells.iter().filter(|cell| cell.measured.failed == 0 && cell.measured.completed > 0);
        let by =
            |number: fn(&Measured) -> f64| good().min_by(|a, b| number(&a.measured).total_cmp(&number(&b.measured)));
        Best {
            fastest: by(|measured| -measured.tokens_per_second),
            quickest: by(|measured| measured.latency_seconds.p99),
            smallest: by(|measured| measured.peak_memory_bytes.map_or(f64::INFINITY, |bytes| bytes as f64)),
        }
    }
}

fn entry(cell: &Cell) -> Entry<'_> {
    let Setting { model, dtype, batch, concurrency } = &cell.setting;
    Entry { model, dtype: *dtype, batch: *batch, concurrency: *concurrency, measured: &cell.measured }
}

impl StepHandler for Matrix {
    fn kind(&self) -> &'static str {
        "infer.matrix"
    }

    fn version(&self) -> u32 {
        1
    }

    fn summary(&self) -> &'static str {
        "make one report of measured cells, as JSON and as a page"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Arguments)
    }

    fn gives(&self) -> Gives {
        Gives {
            outputs: Given::Named(&[("report", "folder with `matrix.json` and `matrix.html`")]),
            values: Given::Named(&[
                ("cells", "number of cells"),
                ("failed", "number of cells in which a request failed"),
                ("best", "the cell with most tokens per second, or null"),
                ("tokens_per_second", "those of the best cell, or null"),
            ]),
        }
    }

    fn highlight(&self) -> Highlight {
        Highlight::Folder("report")
    }

    fn check(&self, with: &Value) -> Result<(), Failure> {
        // Cells come from steps: before the run, a placeholder stands for them.
        if with.get("cells").is_none_or(Value::is_array) {
            arguments::<Arguments>(with)?;
        }
        Ok(())
    }

    fn run(&self, context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
        let Arguments { cells, title } = context.arguments()?;
        let best = Best::of(&cells);
        let report = json!({
            "schema": 1,
            "cells": cells.iter().map(entry).collect::<Vec<_>>(),
            "best": {
                "tokens_per_second": best.fastest.map(entry),
                "latency": best.quickest.map(entry),
                "memory": best.smallest.map(entry),
            },
        });
        let json = context.publish_json("the report", &report)?;
        let html = context.artifacts.put_bytes(page(&title, &cells, &best).as_bytes(), HTML)?;
        let files = [("matrix.json".to_owned(), json), ("matrix.html".to_owned(), html)].into();
        let values = json!({
            "cells": cells.len(),
            "failed": cells.iter().filter(|cell| cell.measured.failed > 0).count(),
            "best": best.fastest.map(|cell| &cell.setting),
            "tokens_per_second": best.fastest.map(|cell| cell.measured.tokens_per_second),
        });
        Ok(Outputs::of([("report", context.artifacts.put_tree(&files)?)], values))
    }
}
