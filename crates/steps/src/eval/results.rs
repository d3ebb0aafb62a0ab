//! `results.json` in the format of the LM Evaluation Harness: metrics as `name,filter` under the task.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::minimal_pairs::{Score, Scores};
use crate::sampling::Sample;
use stepwell_train::evaluation::likelihood::Likelihood;
use stepwell_train::model::config::ModelConfig;

pub struct Measured {
    pub validation: Likelihood,
    /// `None` without pairs.
    pub pairs: Option<Scores>,
}

pub struct Findings<'a> {
    pub config: &'a ModelConfig,
    pub text_bytes: u64,
    pub documents: u64,
    pub model: Measured,
    /// `None` without training tokens.
    pub trigram: Option<Measured>,
    pub samples: &'a [Sample],
    pub distinct_1: f64,
    pub distinct_2: f64,
    pub repetition_4: f64,
}

/// Samples to show. The measures of variety use all samples.
const SHOWN: usize = 3;

impl Findings<'_> {
    /// Makes the content of the file. Keys are sorted and numbers exact, so equal findings give equal bytes.
    pub fn to_json(&self) -> Value {
        let mut results = BTreeMap::new();
        self.add_model(&mut results, "", &self.model);
        if let Some(trigram) = &self.trigram {
            self.add_model(&mut results, "_trigram", trigram);
        }
        results.insert(
            "generation".to_owned(),
            json!({
                "alias": "generation",
                "distinct_1,none": self.distinct_1,
                "distinct_2,none": self.distinct_2,
                "repetition_4,none": self.repetition_4,
            }),
        );
        let tasks: Vec<String> = results.keys().cloned().collect();
        let each =
            |value: Value| -> Map<String, Value> { tasks.iter().map(|task| (task.clone(), value.clone())).collect() };
        json!({
            "results": results,
            "versions": each(json!(1)),
            "n-shot": each(json!(0)),
            "n-samples": self.sample_counts(),
            "higher_is_better": {"bits_per_byte": false, "perplexity": false, "acc": true},
            "config": {"model": "stepwell", "model_args": self.config},
            "samples": &self.samples[..self.samples.len().min(SHOWN)],
        })
    }

    /// Small results for templates and people.
    pub fn values(&self) -> Map<String, Value> {
        let bits = |measured: &Measured| measured.validation.bits_per_byte(self.text_bytes);
        let accuracy = |measured: &Measured| measured.pairs.as_ref().map(|scores| scores.overall.accuracy());
        let shown: Vec<String> = self.samples.iter().take(SHOWN).map(|sample| sample.short(400)).collect();
        let entries = [
            ("bits_per_byte", json!(bits(&self.model))),
            ("perplexity", json!(self.model.validation.perplexity())),
            ("minimal_pairs_accuracy", json!(accuracy(&self.model))),
            ("trigram_bits_per_byte", json!(self.trigram.as_ref().map(bits))),
            ("trigram_minimal_pairs_accuracy", json!(self.trigram.as_ref().and_then(accuracy))),
            ("distinct_1", json!(self.distinct_1)),
            ("distinct_2", json!(self.distinct_2)),
            ("repetition_4", json!(self.repetition_4)),
            ("samples", json!(shown)),
        ];
        entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn add_model(&self, results: &mut BTreeMap<String, Value>, suffix: &str, measured: &Measured) {
        let validation = &measured.validation;
        results.insert(
            format!("validation{suffix}"),
            json!({
                "alias": format!("validation{suffix}"),
                "bits_per_byte,none": validation.bits_per_byte(self.text_bytes),
                "perplexity,none": validation.perplexity(),
                "nats,none": validation.nats,
                "tokens,none": validation.tokens,
                "bytes,none": self.text_bytes,
            }),
        );
        let Some(scores) = &measured.pairs else { return };
        results.insert(format!("minimal_pairs{suffix}"), score(&format!("minimal_pairs{suffix}"), scores.overall));
        for (phenomenon, scored) in &scores.phenomena {
            let task = format!("minimal_pairs{suffix}_{phenomenon}");
            results.insert(task, score(&format!(" - {phenomenon}"), *scored));
        }
    }

    fn sample_counts(&self) -> Value {
        let count = |n: u64| json!({"original": n, "effective": n});
        let mut counts = Map::new();
        counts.insert("validation".to_owned(), count(self.documents));
        if let Some(scores) = &self.model.pairs {
            counts.insert("minimal_pairs".to_owned(), count(scores.overall.of));
        }
        counts.insert("generation".to_owned(), count(self.samples.len() as u64));
        Value::Object(counts)
    }
}

fn score(alias: &str, score: Score) -> Value {
    let error = score.standard_error().map_or(json!("N/A"), |error| json!(error));
    json!({"alias": alias, "acc,none": score.accuracy(), "acc_stderr,none": error})
}
