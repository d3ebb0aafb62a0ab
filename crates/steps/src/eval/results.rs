//! The numbers of `eval`, as reports of tasks and as values.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::arguments::{GENERATION, MINIMAL_PAIRS, VALIDATION};
use super::minimal_pairs::Scores;
use crate::evaluation::outcome::{Metric, Numbers, Report, TaskReport};
use crate::evaluation::samples::SHOWN;
use crate::sampling::Sample;
use stepwell_train::evaluation::likelihood::Likelihood;

/// A token file, as the model and the baselines predict it.
pub struct Text {
    pub name: String,
    pub documents: u64,
    pub bytes: u64,
    pub model: Likelihood,
    pub baselines: BTreeMap<&'static str, Likelihood>,
}

impl Text {
    pub fn report(&self) -> TaskReport {
        let numbers =
            |likelihood: &Likelihood| Numbers { metrics: of_text(likelihood, self.bytes), ..Numbers::default() };
        TaskReport {
            name: self.name.clone(),
            model: numbers(&self.model),
            items: self.documents,
            shots: 0,
            config: json!({ "output_type": "loglikelihood_rolling" }),
            baselines: self.baselines.iter().map(|(name, likelihood)| (*name, numbers(likelihood))).collect(),
        }
    }
}

fn of_text(likelihood: &Likelihood, bytes: u64) -> Vec<Metric> {
    vec![
        Metric::lower("bits_per_byte", likelihood.bits_per_byte(bytes)),
        Metric::lower("perplexity", likelihood.perplexity()),
        Metric::plain("nats", likelihood.nats),
        Metric::plain("tokens", likelihood.tokens as f64),
        Metric::plain("bytes", bytes as f64),
    ]
}

/// The report of minimal pairs.
pub fn pairs(model: &Scores, baselines: &BTreeMap<&'static str, Scores>) -> TaskReport {
    let numbers = |scores: &Scores| Numbers {
        metrics: vec![Metric::rate("acc", scores.overall.right, scores.overall.of)],
        groups: scores
            .phenomena
            .iter()
            .map(|(name, score)| (name.clone(), vec![Metric::rate("acc", score.right, score.of)]))
            .collect(),
    };
    TaskReport {
        name: MINIMAL_PAIRS.to_owned(),
        model: numbers(model),
        items: model.overall.of,
        shots: 0,
        config: json!({ "output_type": "multiple_choice", "target_delimiter": "" }),
        baselines: baselines.iter().map(|(name, scores)| (*name, numbers(scores))).collect(),
    }
}

/// The report of the samples.
pub fn generation(metrics: Vec<Metric>, samples: usize) -> TaskReport {
    TaskReport {
        name: GENERATION.to_owned(),
        model: Numbers { metrics, ..Numbers::default() },
        items: samples as u64,
        shots: 0,
        config: json!({ "output_type": "generate_until" }),
        baselines: BTreeMap::new(),
    }
}

/// Small results for templates and people.
pub fn values(report: &Report, samples: &[Sample]) -> Map<String, Value> {
    let task = |name: &str| report.tasks.iter().find(|task| task.name == name);
    let metric = |numbers: Option<&Numbers>, name: &str| {
        json!(numbers.and_then(|numbers| Some(numbers.metrics.iter().find(|metric| metric.name == name)?.json())))
    };
    let model = |of: &str, name: &str| metric(task(of).map(|task| &task.model), name);
    let baseline =
        |of: &str, order: &str, name: &str| metric(task(of).and_then(|task| task.baselines.get(order)), name);
    let shown: Vec<String> = samples.iter().take(SHOWN).map(|sample| sample.short(400)).collect();
    let entries = [
        ("bits_per_byte", model(VALIDATION, "bits_per_byte")),
        ("perplexity", model(VALIDATION, "perplexity")),
        ("minimal_pairs_accuracy", model(MINIMAL_PAIRS, "acc")),
        ("unigram_bits_per_byte", baseline(VALIDATION, "unigram", "bits_per_byte")),
        ("trigram_bits_per_byte", baseline(VALIDATION, "trigram", "bits_per_byte")),
        ("trigram_minimal_pairs_accuracy", baseline(MINIMAL_PAIRS, "trigram", "acc")),
        ("distinct_1", model(GENERATION, "distinct_1")),
        ("distinct_2", model(GENERATION, "distinct_2")),
        ("repetition_4", model(GENERATION, "repetition_4")),
        ("longest_repeat", model(GENERATION, "longest_repeat")),
        ("eos_rate", model(GENERATION, "eos_rate")),
        ("novelty_4", model(GENERATION, "novelty_4")),
        ("novelty_8", model(GENERATION, "novelty_8")),
        ("samples", json!(shown)),
        ("tasks", report.values()),
    ];
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
