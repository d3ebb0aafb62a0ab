//! Numbers for monitoring: both forms have the same.

use axum::body::Body;
use axum::http::{StatusCode, header};

use super::fixture::{Lab, bearer, request};
use crate::gauges::OF_TRAININGS;

/// Names that change from one request to the next.
fn is_traffic(name: &str) -> bool {
    name.starts_with("stepwell_http_") || name == "stepwell_disk_free_bytes"
}

#[test]
fn the_text_and_the_json_have_the_same_numbers() {
    let lab = Lab::new();
    lab.submit("a \"quoted\"".replace([' ', '"'], "-").as_str());
    lab.submit("b");
    let scrape = request("GET", "/metrics").header(header::AUTHORIZATION, bearer(&lab.read));
    let answer = lab.send(scrape.body(Body::empty()).unwrap());
    assert_eq!(answer.status(), StatusCode::OK);
    let text = String::from_utf8(lab.body(answer)).unwrap();
    let (status, json) = lab.get("/api/v1/metrics.json", &lab.read);
    assert_eq!(status, StatusCode::OK);
    let mut compared = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        if is_traffic(name) {
            continue;
        }
        let value: f64 = value.parse().unwrap();
        let entry = &json[name];
        let found = match entry.as_array() {
            None => entry.as_f64(),
            Some(samples) => {
                let sample = samples.iter().find(|sample| {
                    let labels = sample["labels"].as_object().unwrap().iter();
                    let labels = labels.map(|(name, value)| format!("{name}={value}"));
                    series.ends_with(&format!("{{{}}}", labels.collect::<Vec<_>>().join(",")))
                });
                sample.and_then(|sample| sample["value"].as_f64())
            }
        };
        assert_eq!(found, Some(value), "{line} in {json}");
        compared += 1;
    }
    assert!(compared > 12, "{text}");
    assert!(text.contains("stepwell_runs{status=\"pending\"} 2.0\n"), "{text}");
}

#[test]
fn answers_are_counted() {
    let lab = Lab::new();
    for _ in 0..3 {
        lab.get("/api/v1/runs", &lab.read);
    }
    lab.get("/api/v1/runs/nope", &lab.read);
    let (_, json) = lab.get("/api/v1/metrics.json", &lab.read);
    let count = |class: &str| {
        let classes = json["stepwell_http_requests_total"].as_array().unwrap();
        classes.iter().find(|sample| sample["labels"]["class"] == class).unwrap()["value"].as_f64()
    };
    assert_eq!((count("2xx"), count("4xx"), count("5xx")), (Some(3.0), Some(1.0), Some(0.0)), "{json}");
}

/// The rules of <https://prometheus.io/docs/practices/naming/>.
#[test]
fn names_have_units_and_labels_are_few() {
    let lab = Lab::new();
    lab.submit("a");
    let (_, json) = lab.get("/api/v1/metrics.json", &lab.read);
    for (name, entry) in json.as_object().unwrap() {
        let is_ours = name.starts_with("stepwell_") || name.starts_with("vllm:");
        assert!(is_ours && !name.contains("percent") && !name.contains("_ms"), "{name}");
        for sample in entry.as_array().into_iter().flatten() {
            for label in sample["labels"].as_object().unwrap().keys() {
                assert!(
                    ["version", "status", "class", "run", "id", "model_name", "finished_reason"]
                        .contains(&label.as_str()),
                    "{name}: {label}"
                );
            }
        }
    }
}

/// A training that works has numbers; the dashboard and the specification name only numbers that exist.
#[test]
fn the_dashboard_and_the_specification_name_what_exists() {
    let lab = Lab::new();
    lab.submit("a");
    let (_, json) = lab.get("/api/v1/metrics.json", &lab.read);
    let known = |name: &str| {
        let base = name.trim_end_matches("_bucket");
        json.get(base).is_some() || OF_TRAININGS.iter().any(|(_, of_training, _)| base == *of_training)
    };
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for file in ["examples/monitoring/grafana.json", "specs/api.md"] {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        let names = text.split(|c: char| !(c.is_ascii_lowercase() || c == '_')).filter(|word| {
            ["stepwell_run", "stepwell_engine", "stepwell_http", "stepwell_disk", "stepwell_steps", "stepwell_events"]
                .iter()
                .any(|start| word.starts_with(start))
        });
        let names: Vec<&str> = names.collect();
        assert!(names.len() > 8, "{file}");
        for name in names {
            assert!(known(name), "{file}: {name}");
        }
    }
}
