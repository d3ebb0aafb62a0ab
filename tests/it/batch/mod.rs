//! `stepwell batch`: every row once, whatever is killed.

mod chat;
mod kills;
mod matrix;
#[cfg(target_os = "linux")]
mod memory;
mod model;
#[cfg(target_os = "linux")]
mod owners;
mod rows;
mod served;
#[cfg(target_os = "linux")]
mod sync;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

pub use self::model::tiny_model;
use crate::harness::{Finished, Sandbox};

/// A sandbox with a model and a file of requests.
struct Lab {
    sandbox: Sandbox,
}

impl Lab {
    fn new(lines: &[String]) -> Lab {
        let sandbox = Sandbox::new();
        tiny_model(&sandbox.path("model"));
        sandbox.write("requests.jsonl", lines.join("\n"));
        Lab { sandbox }
    }

    const ARGS: [&str; 6] = ["batch", "requests.jsonl", "--model", "model", "-o", "out.jsonl"];

    fn batch(&self, more: &[&str]) -> Finished {
        self.sandbox.stepwell(&[&Lab::ARGS[..], more].concat())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path(name)
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Both files as bytes.
    fn files(&self) -> [Vec<u8>; 2] {
        ["out.jsonl", "out.errors.jsonl"].map(|name| std::fs::read(self.path(name)).unwrap_or_default())
    }

    /// How often each id is in both files together.
    fn ids(&self) -> BTreeMap<String, u32> {
        let mut counts = BTreeMap::new();
        for line in self.lines("out.jsonl").into_iter().chain(self.lines("out.errors.jsonl")) {
            *counts.entry(line["custom_id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        counts
    }
}

/// Rows of both endpoints: greedy ones, seeded ones, and some that no model can answer.
fn requests(count: usize, tokens: u32) -> Vec<String> {
    (0..count)
        .map(|n| {
            let id = format!("row-{n}");
            let text = format!("Number {n}: {}", "so ".repeat(n % 7));
            let (url, mut body) = if n % 3 == 0 {
                ("/v1/completions", json!({"prompt": text}))
            } else {
                ("/v1/chat/completions", json!({"messages": [{"role": "user", "content": text}]}))
            };
            body["model"] = json!("tiny");
            body["max_tokens"] = json!(tokens);
            body["ignore_eos"] = json!(true);
            match n % 10 {
                4 => body["temperature"] = json!(0),
                5 => body["seed"] = json!(n),
                9 => body["n"] = json!(1_000_000_000),
                _ => {}
            }
            json!({"custom_id": id, "method": "POST", "url": url, "body": body}).to_string()
        })
        .collect()
}
