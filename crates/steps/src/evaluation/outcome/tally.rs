//! Adds up records to the numbers of a task.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::record::{Record, score};
use stepwell_statistics::{Bootstrap, Confidence, Interval, wilson};
use stepwell_workflow::catalog::Better;

/// Sums over items.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Sums {
    pub items: u64,
    /// Items judged right, by score.
    right: BTreeMap<String, u64>,
    /// Nats, tokens and bytes of each text.
    texts: Vec<[f64; 3]>,
}

/// Sums of a task, and of each of its groups.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Tally {
    pub whole: Sums,
    pub groups: BTreeMap<String, Sums>,
}

/// One number of a task.
#[derive(Clone, PartialEq, Debug)]
pub struct Metric {
    pub name: &'static str,
    pub value: f64,
    pub standard_error: Option<f64>,
    pub interval: Option<Interval>,
    pub better: Option<Better>,
}

/// Most draws of items for one interval: longer files have fewer resamples.
const MOST_DRAWS: u64 = 100_000_000;
const RESAMPLES: u64 = 1000;
const FEWEST_RESAMPLES: u64 = 100;
const SEED: u64 = 42;

impl Tally {
    pub fn add(&mut self, record: &Record) {
        self.whole.add(record);
        if let Some(group) = &record.group {
            self.groups.entry(group.clone()).or_default().add(record);
        }
    }
}

impl Sums {
    pub fn add(&mut self, record: &Record) {
        self.items += 1;
        let value = |name: &str| record.scores.get(name).copied();
        if let (Some(nats), Some(tokens), Some(bytes)) = (value(score::NATS), value(score::TOKENS), value(score::BYTES))
        {
            self.texts.push([nats, tokens, bytes]);
            return;
        }
        for (name, value) in &record.scores {
            *self.right.entry(name.clone()).or_default() += u64::from(*value > 0.0);
        }
    }

    pub fn total(&self, part: Part) -> f64 {
        self.texts.iter().map(|text| text[part as usize]).sum()
    }

    /// The numbers of a task, in a fixed order.
    pub fn metrics(&self) -> Vec<Metric> {
        let known = [score::ACC, score::ACC_NORM, score::ACC_BYTES, score::EXACT_MATCH];
        let rates = known
            .into_iter()
            .filter_map(|name| self.right.get(name).map(|right| Metric::rate(name, *right, self.items)));
        rates.chain(self.likelihood()).collect()
    }

    fn likelihood(&self) -> Vec<Metric> {
        if self.texts.is_empty() {
            return Vec::new();
        }
        let [nats, tokens, bytes] = [Part::Nats, Part::Tokens, Part::Bytes].map(|part| self.total(part));
        let bootstrap = bootstrap(self.texts.len());
        let of = |below: Part, scale: fn(f64) -> f64| {
            let parts: Vec<(f64, f64)> = self.texts.iter().map(|text| (text[0], text[below as usize])).collect();
            bootstrap
                .ratio(&parts)
                .map(|estimate| Interval { low: scale(estimate.interval.low), high: scale(estimate.interval.high) })
        };
        vec![
            Metric { interval: of(Part::Bytes, bits), ..Metric::lower("bits_per_byte", bits(nats / bytes)) },
            Metric { interval: of(Part::Tokens, f64::exp), ..Metric::lower("perplexity", (nats / tokens).exp()) },
            Metric::plain("nats", nats),
            Metric::plain("tokens", tokens),
            Metric::plain("bytes", bytes),
        ]
    }
}

/// One of the numbers of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    Nats = 0,
    Tokens = 1,
    Bytes = 2,
}

fn bits(nats: f64) -> f64 {
    nats / std::f64::consts::LN_2
}

fn bootstrap(items: usize) -> Bootstrap {
    let resamples = (MOST_DRAWS / items.max(1) as u64).clamp(FEWEST_RESAMPLES, RESAMPLES);
    Bootstrap { resamples: resamples as u32, seed: SEED, confidence: Confidence::P95 }
}

impl Metric {
    /// A rate with Wilson's interval, and the standard error from the sample variance, as lm-eval has it.
    pub fn rate(name: &'static str, right: u64, of: u64) -> Metric {
        let value = right as f64 / of as f64;
        Metric {
            name,
            value,
            standard_error: (of > 1).then(|| (value * (1.0 - value) / (of - 1) as f64).sqrt()),
            interval: wilson(right, of, Confidence::P95),
            better: Some(Better::Higher),
        }
    }

    /// A number without an interval, in which lower ones are better.
    pub fn lower(name: &'static str, value: f64) -> Metric {
        Metric { better: Some(Better::Lower), ..Metric::plain(name, value) }
    }

    /// The value; counts are whole numbers.
    pub fn json(&self) -> Value {
        match self.name {
            "tokens" | "bytes" | "longest_repeat" => json!(self.value as u64),
            _ => json!(self.value),
        }
    }

    /// A number that is neither good nor bad.
    pub fn plain(name: &'static str, value: f64) -> Metric {
        Metric { name, value, standard_error: None, interval: None, better: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(group: &str, scores: &[(&str, f64)]) -> Record {
        Record {
            task: "t".to_owned(),
            item: 1,
            group: Some(group.to_owned()),
            digest: String::new(),
            scores: scores.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            nats: Vec::new(),
            answer: None,
        }
    }

    #[test]
    fn rates_are_counted_for_the_task_and_its_groups() {
        let mut tally = Tally::default();
        for (group, acc) in [("a", 1.0), ("a", 1.0), ("b", 0.0), ("b", 0.0), ("b", 0.0)] {
            tally.add(&record(group, &[("acc", acc)]));
        }
        let metric = &tally.whole.metrics()[0];
        assert_eq!((metric.name, tally.whole.items), ("acc", 5));
        assert!((metric.value - 0.4).abs() < 1e-15);
        assert!((metric.standard_error.unwrap() - (0.24f64 / 4.0).sqrt()).abs() < 1e-15);
        let interval = metric.interval.unwrap();
        assert!(interval.low > 0.1 && interval.high < 0.8, "{interval:?}");
        assert!((tally.groups["a"].metrics()[0].value - 1.0).abs() < 1e-15);
        assert_eq!(Metric::rate("acc", 1, 1).standard_error, None);
    }

    #[test]
    fn likelihoods_are_ratios_of_sums() {
        let mut tally = Tally::default();
        let nats = std::f64::consts::LN_2;
        tally.add(&record("a", &[("nats", 8.0 * nats), ("tokens", 4.0), ("bytes", 8.0)]));
        tally.add(&record("a", &[("nats", 8.0 * nats), ("tokens", 12.0), ("bytes", 24.0)]));
        let value = |name: &str| tally.whole.metrics().into_iter().find(|metric| metric.name == name).unwrap();
        assert!((value("bits_per_byte").value - 0.5).abs() < 1e-12);
        assert!((value("perplexity").value - 2.0).abs() < 1e-12);
        let interval = value("bits_per_byte").interval.unwrap();
        assert!((interval.low - 1.0 / 3.0).abs() < 1e-12 && (interval.high - 1.0).abs() < 1e-12, "{interval:?}");
    }
}
