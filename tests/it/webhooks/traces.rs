//! Traces for a collector of OpenTelemetry: one tree for each run, whole over kills.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Sandbox, eventually, signal};

const FLOW: &str = r#"
name = "flow"
[[step]]
id = "many"
kind = "command"
for_each = "[1, 2]"
with = { shell = "sleep 0.05; echo {{ item }}" }
[[step]]
id = "once"
kind = "command"
needs = ["many"]
retry = { maximum_attempts = 2, initial_interval = "50ms" }
with = { shell = "sleep 0.05; [ -e good ]", cwd = "." }
"#;

/// Takes every third request only from the second time on.
fn collector() -> (SocketAddr, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let spans: Arc<Mutex<Vec<Value>>> = Arc::default();
    let taken = Arc::clone(&spans);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut length, mut head) = (0, String::new());
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
                    break;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap();
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_err() || length == 0 {
                continue;
            }
            assert!(head.starts_with("POST /v1/traces ") && head.contains("x-key: a b"), "{head}");
            let is_good = number % 3 != 0;
            if is_good {
                let body: Value = serde_json::from_slice(&body).unwrap();
                let resource = body["resourceSpans"][0]["resource"]["attributes"][0].to_string();
                assert_eq!(resource, r#"{"key":"service.name","value":{"stringValue":"lab"}}"#);
                let found = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone();
                taken.lock().unwrap().extend(found);
            }
            let status = if is_good { "200 OK" } else { "503 Later" };
            let _ = stream.write_all(
                format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}").as_bytes(),
            );
        }
    });
    (address, spans)
}

#[test]
fn every_run_is_one_tree_of_spans_though_the_engine_dies() {
    let (address, taken) = collector();
    let sandbox = Sandbox::new();
    sandbox.write("flow.toml", FLOW);
    sandbox.write("stepwell.toml", "crash_loop_limit = 0\n");
    let start = |arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")).env("OTEL_SERVICE_NAME", "lab");
        command.env("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b").stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null()).spawn().unwrap()
    };
    for round in 0u64..6 {
        sandbox.stepwell(&["run", "flow.toml", "--detach", "--no-reuse"]).ok();
        let mut worker = start(&["worker"]);
        thread::sleep(Duration::from_millis(200 + round * 7919 % 600));
        signal(worker.id(), "KILL");
        worker.wait().unwrap();
    }
    let rest = || {
        let mut worker = start(&["worker"]);
        eventually("all runs end", || sandbox.query_count("run WHERE finished_at IS NULL") == 0);
        let last = "SELECT max(seq) FROM event WHERE kind IN ('run_succeeded', 'run_failed')";
        let sent = format!("event_cursor WHERE name = 'otel/traces' AND seq >= ({last})");
        eventually("all spans are sent", || sandbox.query_count(&sent) == 1);
        // Unlike SIGINT it is never ignored, not even by a program that a script has started in the background.
        signal(worker.id(), "TERM");
        worker.wait().unwrap();
    };
    rest();
    // A run that has failed continues in its trace.
    let failed = sandbox.query("SELECT id FROM run WHERE status = 'failed' LIMIT 1").remove(0);
    sandbox.write("good", "");
    let mut resumed = start(&["resume", &failed]);
    resumed.wait().unwrap();
    rest();

    let mut spans: BTreeMap<(String, String), Value> = BTreeMap::new();
    for span in taken.lock().unwrap().iter() {
        let text = |name: &str| span[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| text(name).parse::<u64>().unwrap();
        assert_eq!((text("traceId").len(), text("spanId").len()), (32, 16), "{span}");
        assert!(number("startTimeUnixNano") > 0 && number("startTimeUnixNano") <= number("endTimeUnixNano"), "{span}");
        let known = spans.entry((text("traceId"), text("spanId"))).or_insert_with(|| span.clone());
        assert_eq!(known, span, "one id, one span");
    }
    let runs: BTreeSet<String> = sandbox.query("SELECT replace(id, '-', '') FROM run").into_iter().collect();
    assert_eq!(spans.keys().map(|(trace, _)| trace.clone()).collect::<BTreeSet<_>>(), runs);
    for ((trace, _), span) in &spans {
        match span["parentSpanId"].as_str() {
            Some(parent) => assert!(spans.contains_key(&(trace.clone(), parent.to_owned())), "{span} has no parent"),
            None => assert_eq!(span["name"], "run flow"),
        }
    }
    let named =
        |start: &str| spans.values().filter(|span| span["name"].as_str().unwrap().starts_with(start)).count() as u64;
    let events = |kinds: &str| sandbox.query_count(&format!("event WHERE kind IN ({kinds})"));
    assert_eq!(named("run flow"), events("'run_succeeded', 'run_failed', 'run_canceled'"));
    assert_eq!(named("run flow resumed"), 1);
    assert_eq!(named("attempt "), events("'attempt_started'"));
    assert_eq!(named("once"), events("'step_failed'") + 1);
    println!("{} spans, {} sent", spans.len(), taken.lock().unwrap().len());
    sandbox.stepwell(&["db", "check"]).ok();
}
