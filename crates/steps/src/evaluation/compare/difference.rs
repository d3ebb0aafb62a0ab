//! Differences between two models, with intervals and tests.

use std::collections::BTreeMap;

use serde::Serialize;

use super::items::Pairs;
use crate::evaluation::outcome::score;
use stepwell_statistics::{Bootstrap, benjamini_hochberg, cohen_h, mcnemar_exact};

/// How a p-value was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Method {
    /// Each item is right or wrong.
    #[serde(rename = "mcnemar_exact")]
    McNemarExact,
    #[serde(rename = "paired_bootstrap")]
    PairedBootstrap,
}

/// The second model against the first, in one number of one task.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Difference {
    pub items: u64,
    pub first: f64,
    pub second: f64,
    /// Second less first.
    pub difference: f64,
    pub low: f64,
    pub high: f64,
    pub test: Method,
    pub p: f64,
    /// `p` adjusted for the number of tests (Benjamini and Hochberg).
    pub p_adjusted: f64,
    /// Items that only the one, or only the other, has right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_first: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_second: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cohen_h: Option<f64>,
}

/// Differences by task and metric.
pub type Differences = BTreeMap<String, BTreeMap<String, Difference>>;

/// Compares all tasks, and adjusts the p-values for their number.
pub fn differences(tasks: &BTreeMap<String, Pairs>, bootstrap: Bootstrap) -> Differences {
    let mut found: Differences = tasks.iter().map(|(task, pairs)| (task.clone(), of_task(pairs, bootstrap))).collect();
    let mut all: Vec<&mut Difference> = found.values_mut().flat_map(BTreeMap::values_mut).collect();
    let p: Vec<f64> = all.iter().map(|difference| difference.p).collect();
    for (difference, adjusted) in all.iter_mut().zip(benjamini_hochberg(&p)) {
        difference.p_adjusted = adjusted;
    }
    found
}

fn of_task(pairs: &Pairs, bootstrap: Bootstrap) -> BTreeMap<String, Difference> {
    let Some([first, second]) = pairs.first() else { return BTreeMap::new() };
    let names: Vec<&String> = first.keys().filter(|name| second.contains_key(*name)).collect();
    if names.iter().any(|name| *name == score::NATS) {
        return likelihood(pairs, bootstrap).into_iter().map(|found| ("bits_per_byte".to_owned(), found)).collect();
    }
    names.into_iter().filter_map(|name| Some((name.clone(), rate(pairs, name, bootstrap)?))).collect()
}

/// Scores that are 0 or 1; `None` if an item has none.
fn rate(pairs: &Pairs, name: &str, bootstrap: Bootstrap) -> Option<Difference> {
    let values: Vec<[f64; 2]> =
        pairs.iter().map(|[first, second]| Some([*first.get(name)?, *second.get(name)?])).collect::<Option<_>>()?;
    let items = values.len() as f64;
    let mean = |side: usize| values.iter().map(|pair| pair[side]).sum::<f64>() / items;
    let only = |side: usize| values.iter().filter(|pair| pair[side] > pair[1 - side]).count() as u64;
    let estimate = bootstrap.mean(&values.iter().map(|[first, second]| second - first).collect::<Vec<_>>())?;
    let (only_first, only_second) = (only(0), only(1));
    let test = mcnemar_exact(only_first, only_second);
    Some(Difference {
        items: values.len() as u64,
        first: mean(0),
        second: mean(1),
        difference: estimate.value,
        low: estimate.interval.low,
        high: estimate.interval.high,
        test: Method::McNemarExact,
        p: test.p,
        p_adjusted: test.p,
        only_first: Some(only_first),
        only_second: Some(only_second),
        cohen_h: Some(cohen_h(mean(1).clamp(0.0, 1.0), mean(0).clamp(0.0, 1.0))),
    })
}

/// Bits per byte of the same texts; the texts are drawn again together.
fn likelihood(pairs: &Pairs, bootstrap: Bootstrap) -> Option<Difference> {
    let part = |scores: &BTreeMap<String, f64>, name: &str| scores.get(name).copied();
    let rows: Vec<[f64; 3]> = pairs
        .iter()
        .map(|[first, second]| {
            Some([part(first, score::NATS)?, part(second, score::NATS)?, part(first, score::BYTES)?])
        })
        .collect::<Option<_>>()?;
    let bits = |drawn: &[u32], side: usize| {
        let sum = |part: usize| drawn.iter().map(|item| rows[*item as usize][part]).sum::<f64>();
        sum(side) / std::f64::consts::LN_2 / sum(2)
    };
    let all: Vec<u32> = (0..u32::try_from(rows.len()).ok()?).collect();
    let estimate = bootstrap.estimate(rows.len(), |drawn| bits(drawn, 1) - bits(drawn, 0))?;
    Some(Difference {
        items: rows.len() as u64,
        first: bits(&all, 0),
        second: bits(&all, 1),
        difference: estimate.value,
        low: estimate.interval.low,
        high: estimate.interval.high,
        test: Method::PairedBootstrap,
        p: estimate.p,
        p_adjusted: estimate.p,
        only_first: None,
        only_second: None,
        cohen_h: None,
    })
}
