//! A named number with its samples. Names follow <https://prometheus.io/docs/practices/naming/>: base units as suffix,
//! `_total` for counters, and labels from small sets only.

use serde_json::{Map, Value, json};

/// One number, for each set of labels.
#[derive(Clone, PartialEq, Debug)]
pub struct Family {
    /// Without `_total`.
    pub name: &'static str,
    pub help: &'static str,
    pub numbers: Numbers,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Numbers {
    /// Goes up and down.
    Gauge(Vec<Sample>),
    /// Only goes up.
    Counter(Vec<Sample>),
    Histogram(Histogram),
}

#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    pub labels: Vec<(&'static str, String)>,
    pub value: f64,
}

/// How many values were at most each bound.
#[derive(Clone, PartialEq, Debug)]
pub struct Histogram {
    /// Upper bound and the number of values up to it, ascending; the last bound is infinite.
    pub buckets: Vec<(f64, u64)>,
    pub sum: f64,
}

impl Family {
    pub fn gauge(name: &'static str, help: &'static str, value: f64) -> Family {
        Family { name, help, numbers: Numbers::Gauge(vec![Sample { labels: Vec::new(), value }]) }
    }

    pub fn gauges(name: &'static str, help: &'static str, samples: Vec<Sample>) -> Family {
        Family { name, help, numbers: Numbers::Gauge(samples) }
    }

    pub fn counter(name: &'static str, help: &'static str, value: f64) -> Family {
        Family { name, help, numbers: Numbers::Counter(vec![Sample { labels: Vec::new(), value }]) }
    }
}

/// The snapshot by name: a number, `{"labels","value"}` for each set of labels, or the buckets of a histogram.
pub fn snapshot_json(families: &[Family]) -> Value {
    let entries = families.iter().map(|family| match &family.numbers {
        Numbers::Gauge(samples) => (family.name.to_owned(), samples_json(samples)),
        Numbers::Counter(samples) => (format!("{}_total", family.name), samples_json(samples)),
        Numbers::Histogram(histogram) => {
            let bucket = |(bound, count): &(f64, u64)| json!({ "up_to": bound, "count": count });
            let buckets: Vec<Value> = histogram.buckets.iter().map(bucket).collect();
            (family.name.to_owned(), json!({ "sum": histogram.sum, "buckets": buckets }))
        }
    });
    Value::Object(entries.collect())
}

fn samples_json(samples: &[Sample]) -> Value {
    match samples {
        [Sample { labels, value }] if labels.is_empty() => json!(value),
        samples => samples.iter().map(sample_json).collect(),
    }
}

fn sample_json(sample: &Sample) -> Value {
    let labels: Map<String, Value> =
        sample.labels.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    json!({ "labels": labels, "value": sample.value })
}
