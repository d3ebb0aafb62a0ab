mod memory;
mod model;
mod resume;
mod rows;
mod toy;

use std::cell::RefCell;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::rc::Rc;

use serde_json::{Value, json};

use self::toy::{Ledger, Toy, identity};
use super::arguments::Arguments;
use super::batch::run_batch;
use crate::StepError;
use crate::tests::Recorder;
use crate::tests::StepLab;
use stepwell_base::artifact::Outputs;

/// One batch of one step.
struct Lab {
    steps: StepLab,
    recorder: Recorder,
    ledger: Rc<RefCell<Ledger>>,
    requests: PathBuf,
    with: Value,
}

fn row(id: &str, prompt: &str) -> Value {
    let body = json!({"model": "toy", "prompt": prompt});
    json!({"custom_id": id, "method": "POST", "url": "/v1/completions", "body": body})
}

impl Lab {
    fn new(lines: &[String]) -> Lab {
        let steps = StepLab::new();
        let requests = steps.directory.path().join("requests.jsonl");
        fs::write(&requests, lines.join("\n")).unwrap();
        let with = json!({"model": "toy", "requests": requests, "concurrency": 3});
        Lab { steps, recorder: Recorder::default(), ledger: Rc::default(), requests, with }
    }

    /// A batch of rows with prompts of different lengths.
    fn of_rows(count: usize) -> Lab {
        let lines: Vec<String> = (0..count)
            .map(|n| row(&format!("id-{n}"), &format!("prompt {}{n}", "x".repeat(n * 7 % 5))).to_string())
            .collect();
        Lab::new(&lines)
    }

    fn set(&mut self, name: &str, value: Value) {
        self.with[name] = value;
    }

    fn attempt(&mut self) -> Result<Outputs, StepError> {
        let arguments: Arguments = serde_json::from_value(self.with.clone()).unwrap();
        let (ledger, requests) = (&self.ledger, &self.requests);
        self.steps.attempt(&self.with, &mut self.recorder, |context| {
            run_batch(context, &arguments, requests, &identity(), |_, _| Ok(Toy::new(ledger)))
        })
    }

    /// An attempt whose process dies; the panic stands for its death.
    fn dying(&mut self) {
        let died = catch_unwind(AssertUnwindSafe(|| self.attempt().map(drop)));
        assert!(died.is_err(), "the attempt ended: {died:?}");
        self.recorder.disconnect_dead();
    }

    fn file(&self, outputs: &Outputs, name: &str) -> Vec<Value> {
        let text = self.steps.artifacts.read(&outputs.artifacts[name]).unwrap();
        String::from_utf8(text).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Error codes by id.
    fn errors(&self, outputs: &Outputs) -> Vec<(Value, String)> {
        let code = |line: &Value| {
            let code = line["error"]["code"].as_str().or(line["response"]["body"]["error"]["code"].as_str());
            code.unwrap().to_owned()
        };
        self.file(outputs, "errors").iter().map(|line| (line["custom_id"].clone(), code(line))).collect()
    }
}

/// Ids of lines in their order.
fn ids(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["custom_id"].as_str().unwrap()).collect()
}

/// Digests of both files.
fn digests(outputs: &Outputs) -> [&str; 2] {
    ["output", "errors"].map(|name| outputs.artifacts[name].digest.as_str())
}
