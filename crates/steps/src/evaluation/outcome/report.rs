//! `results.json` in the shape of lm-eval: `results.TASK."METRIC,FILTER"`, with what we add beside it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::tally::{Metric, Tally};
use stepwell_workflow::catalog::Better;

/// Numbers of one model on one task.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Numbers {
    pub metrics: Vec<Metric>,
    pub groups: BTreeMap<String, Vec<Metric>>,
}

/// All that is known of one task.
#[derive(Clone, PartialEq, Debug)]
pub struct TaskReport {
    pub name: String,
    pub model: Numbers,
    pub items: u64,
    /// Solved examples before each question.
    pub shots: u64,
    /// How it was measured, in lm-eval's words.
    pub config: Value,
    /// What simple models reach, by their names.
    pub baselines: BTreeMap<&'static str, Numbers>,
}

/// An evaluation.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    pub tasks: Vec<TaskReport>,
    pub model: Value,
    /// Some of the texts that the model wrote.
    pub samples: Value,
}

impl Numbers {
    pub fn of(tally: &Tally) -> Numbers {
        let groups = tally.groups.iter().map(|(group, sums)| (group.clone(), sums.metrics()));
        Numbers { metrics: tally.whole.metrics(), groups: groups.collect() }
    }

    /// Small numbers for templates: each metric, the ends of its interval, and the same of groups.
    fn values(&self) -> Map<String, Value> {
        let mut values = numbers(&self.metrics);
        if !self.groups.is_empty() {
            let groups = self.groups.iter().map(|(group, metrics)| (group.clone(), Value::Object(numbers(metrics))));
            values.insert("groups".to_owned(), groups.collect());
        }
        values
    }
}

impl TaskReport {
    pub fn of(name: &str, tally: &Tally, shots: u64, config: Value) -> TaskReport {
        TaskReport {
            name: name.to_owned(),
            model: Numbers::of(tally),
            items: tally.whole.items,
            shots,
            config,
            baselines: BTreeMap::new(),
        }
    }

    /// Adds what a simple model reaches.
    pub fn add_baseline(&mut self, name: &'static str, tally: &Tally) {
        self.baselines.insert(name, Numbers::of(tally));
    }

    /// Numbers of the model, and those of each baseline under its name.
    fn values(&self) -> Value {
        let mut values = self.model.values();
        values.insert("items".to_owned(), json!(self.items));
        for (baseline, numbers) in &self.baselines {
            values.insert((*baseline).to_owned(), Value::Object(numbers.values()));
        }
        Value::Object(values)
    }

    /// The rows of the model and of each baseline, with their groups: name, alias and numbers.
    fn rows(&self) -> Vec<(String, String, &[Metric])> {
        let models = [(self.name.clone(), &self.model)].into_iter();
        let baselines = self.baselines.iter().map(|(baseline, numbers)| (format!("{}_{baseline}", self.name), numbers));
        let mut rows: Vec<(String, String, &[Metric])> = Vec::new();
        for (name, numbers) in models.chain(baselines) {
            rows.push((name.clone(), name.clone(), &numbers.metrics));
            rows.extend(
                numbers
                    .groups
                    .iter()
                    .map(|(group, metrics)| (format!("{name}_{group}"), format!(" - {group}"), metrics.as_slice())),
            );
        }
        rows
    }
}

impl Report {
    /// Content of the file. Keys are sorted and numbers exact, so equal findings give equal bytes.
    pub fn to_json(&self) -> Value {
        let mut parts: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        let mut put = |part: &'static str, task: &str, value: Value| {
            parts.entry(part).or_default().insert(task.to_owned(), value);
        };
        for task in &self.tasks {
            for (name, alias, metrics) in &task.rows() {
                put("results", name, lm_eval_row(alias, metrics));
                put("versions", name, json!(1));
                put("n-shot", name, json!(task.shots));
                put("higher_is_better", name, directions(metrics));
                put("intervals", name, intervals(metrics));
            }
            let subtasks: Vec<String> =
                task.model.groups.keys().map(|group| format!("{}_{group}", task.name)).collect();
            put("group_subtasks", &task.name, json!(subtasks));
            put("n-samples", &task.name, json!({ "original": task.items, "effective": task.items }));
            put("configs", &task.name, task.config.clone());
        }
        let mut file = json!(parts);
        file["config"] = json!({ "model": "stepwell", "model_args": self.model });
        if !self.samples.is_null() {
            file["samples"] = self.samples.clone();
        }
        file
    }

    /// The value `tasks` of the step.
    pub fn values(&self) -> Value {
        self.tasks.iter().map(|task| (task.name.clone(), task.values())).collect::<Map<_, _>>().into()
    }
}

fn numbers(metrics: &[Metric]) -> Map<String, Value> {
    let mut numbers = Map::new();
    for metric in metrics {
        numbers.insert(metric.name.to_owned(), metric.json());
        if let Some(interval) = metric.interval {
            numbers.insert(format!("{}_low", metric.name), json!(interval.low));
            numbers.insert(format!("{}_high", metric.name), json!(interval.high));
        }
    }
    numbers
}

fn lm_eval_row(alias: &str, metrics: &[Metric]) -> Value {
    let mut row = Map::from_iter([("alias".to_owned(), json!(alias))]);
    for metric in metrics {
        row.insert(format!("{},none", metric.name), metric.json());
        if metric.better.is_some() {
            let error = metric.standard_error.map_or(json!("N/A"), |error| json!(error));
            row.insert(format!("{}_stderr,none", metric.name), error);
        }
    }
    Value::Object(row)
}

fn directions(metrics: &[Metric]) -> Value {
    let of = |metric: &Metric| Some((metric.name.to_owned(), json!(metric.better? == Better::Higher)));
    metrics.iter().filter_map(of).collect::<Map<_, _>>().into()
}

fn intervals(metrics: &[Metric]) -> Value {
    let of = |metric: &Metric| {
        let interval = metric.interval?;
        // Rates have Wilson's interval; ratios of sums that of the bootstrap over texts.
        let method = if metric.better == Some(Better::Higher) { "wilson" } else { "bootstrap" };
        let value = json!({ "low": interval.low, "high": interval.high, "confidence": 0.95, "method": method });
        Some((format!("{},none", metric.name), value))
    };
    metrics.iter().filter_map(of).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_the_shape_of_lm_eval() {
        let mut task = TaskReport::of("blimp", &Tally::default(), 0, json!({ "output_type": "multiple_choice" }));
        task.items = 4;
        task.model.metrics = vec![Metric::rate("acc", 3, 4)];
        task.model.groups.insert("agreement".to_owned(), vec![Metric::rate("acc", 1, 1)]);
        let groups = [("agreement".to_owned(), vec![Metric::rate("acc", 0, 1)])].into();
        task.baselines.insert("trigram", Numbers { metrics: vec![Metric::rate("acc", 2, 4)], groups });
        let report = Report { tasks: vec![task], model: json!({ "layers": 2 }), samples: Value::Null };
        let file = report.to_json();
        assert_eq!(file["results"]["blimp"]["acc,none"], 0.75);
        assert_eq!(file["results"]["blimp"]["acc_stderr,none"], 0.25);
        assert_eq!(file["results"]["blimp_agreement"]["acc_stderr,none"], "N/A");
        assert_eq!(file["results"]["blimp_trigram"]["acc,none"], 0.5);
        assert_eq!(file["results"]["blimp_trigram_agreement"]["acc,none"], 0.0);
        assert_eq!(file["group_subtasks"]["blimp"], json!(["blimp_agreement"]));
        assert_eq!(file["higher_is_better"]["blimp"], json!({ "acc": true }));
        assert_eq!(file["n-samples"]["blimp"], json!({ "original": 4, "effective": 4 }));
        assert_eq!(file["intervals"]["blimp"]["acc,none"]["method"], "wilson");
        let values = report.values();
        assert_eq!(values["blimp"]["acc"], 0.75);
        assert_eq!(values["blimp"]["groups"]["agreement"]["acc"], 1.0);
        assert_eq!(values["blimp"]["trigram"]["acc"], 0.5);
        assert!(values["blimp"]["acc_low"].as_f64().unwrap() < 0.75);
    }
}
