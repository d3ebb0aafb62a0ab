//! An engine that is killed again and again next to a receiver that fails in every way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::receiver::{Manner, Receiver};
use crate::harness::{Sandbox, eventually, signal};

const FLOW: &str = r#"
name = "flow"
[[step]]
id = "many"
kind = "command"
for_each = "[1, 2, 3]"
with = { shell = "sleep 0.05; echo {{ item }}" }
[[step]]
id = "last"
kind = "command"
needs = ["many"]
retry = { maximum_attempts = 1 }
with = { shell = "sleep 0.05; [ $(( $(date +%N | cut -c1) % 3 )) != 0 ]" }
"#;

/// Types of events in the log, and those of their messages.
const PAIRS: [(&str, &str); 7] = [
    ("run_started", "run.started"),
    ("run_succeeded", "run.succeeded"),
    ("run_failed", "run.failed"),
    ("run_interrupted", "run.interrupted"),
    ("run_resumed", "run.resumed"),
    ("run_paused", "run.paused"),
    ("step_failed", "step.failed"),
];

#[test]
fn every_event_arrives_under_one_id_though_the_engine_dies_twenty_times() {
    // Bad luck that does not depend on the time.
    let receiver = Receiver::start(|number| match number * 7919 % 11 {
        0 => Manner::Answers(500),
        1 => Manner::Closes,
        2 => Manner::Hangs,
        3 => Manner::Answers(429),
        4 => Manner::Redirects,
        5 => Manner::Floods,
        _ => Manner::Accepts,
    });
    let sandbox = Sandbox::new();
    sandbox.write("flow.toml", FLOW);
    sandbox.write("hook.secret", Receiver::secret());
    let retries = vec!["\"200ms\""; 20].join(", ");
    let settings =
        format!("crash_loop_limit = 0\n{}", receiver.settings(&format!("retries = [{retries}]\ntimeout = \"300ms\"")));
    sandbox.write("stepwell.toml", settings);
    // An engine that ends at once makes the receiver known, before anything happens.
    sandbox.stepwell(&["run", "flow.toml", "--detach", "--no-reuse"]).ok();
    for round in 0u64..20 {
        sandbox.stepwell(&["run", "flow.toml", "--detach", "--no-reuse"]).ok();
        let mut worker = sandbox.start(&["worker"]);
        std::thread::sleep(Duration::from_millis(100 + round * 7919 % 700));
        signal(worker.id(), "KILL");
        worker.wait().unwrap();
    }
    let mut worker = sandbox.start(&["worker"]);
    eventually("all runs end", || sandbox.query_count("run WHERE finished_at IS NULL") == 0);
    eventually("nothing is left to send", || sandbox.query_count("webhook_message WHERE next_at IS NOT NULL") == 0);
    signal(worker.id(), "INT");
    worker.wait().unwrap();

    let names: BTreeMap<&str, &str> = PAIRS.into_iter().collect();
    let log = sandbox.query("SELECT kind || ' ' || run FROM event ORDER BY seq");
    let mut happened: Vec<String> = log
        .iter()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(kind, run)| Some(format!("{} {run}", names.get(kind)?)))
        .collect();
    let accepted = receiver.accepted();
    let ids: BTreeSet<&String> = accepted.iter().map(|got| &got.id).collect();
    let mut bodies = BTreeMap::new();
    for got in receiver.got() {
        let body = bodies.entry(got.id).or_insert_with(|| got.body.clone());
        assert_eq!(*body, got.body, "one id, one body");
    }
    let mut arrived: Vec<String> = ids
        .iter()
        .map(|id| {
            let message: serde_json::Value = serde_json::from_str(&bodies[*id]).unwrap();
            format!("{} {}", message["type"].as_str().unwrap(), message["data"]["run"]["id"].as_str().unwrap())
        })
        .collect();
    happened.sort();
    arrived.sort();
    assert_eq!(arrived, happened, "every event, once");
    assert!(happened.len() >= 42, "two for each run at least: {}", happened.len());
    println!("{} events, {} requests, {} accepted", happened.len(), receiver.got().len(), accepted.len());
    sandbox.stepwell(&["db", "check"]).ok();
}

/// Dies after each of its first commits, those of the receiver's thread among them.
#[cfg(feature = "failpoints")]
#[test]
fn every_event_arrives_after_a_death_at_any_commit() {
    let receiver = Receiver::start(|_| Manner::Accepts);
    let sandbox = Sandbox::new();
    sandbox.write("flow.toml", "name = \"flow\"\n[[step]]\nid = \"a\"\nkind = \"noop\"\n");
    sandbox.write("hook.secret", Receiver::secret());
    sandbox.write("stepwell.toml", format!("crash_loop_limit = 0\n{}", receiver.settings("")));
    sandbox.stepwell(&["run", "flow.toml"]).ok();
    let mut deaths = 0;
    for commit in 0..60 {
        let dies = format!("store.commit.after={commit}*off->1*return(abort)");
        let run = sandbox.command(&["run", "flow.toml", "--no-reuse"]).env("FAILPOINTS", dies).output().unwrap();
        if run.status.success() {
            break;
        }
        deaths += 1;
    }
    sandbox.stepwell(&["worker", "--exit-when-idle"]).ok();
    sandbox.stepwell(&["worker", "--exit-when-idle"]).ok();
    assert!(deaths > 5, "{deaths}");
    for (kind, name) in [("run_started", "run.started"), ("run_succeeded", "run.succeeded")] {
        let got = receiver.got().into_iter().filter(|got| got.kind() == name).map(|got| got.id);
        let ids: BTreeSet<String> = got.collect();
        assert_eq!(ids.len() as u64, sandbox.query_count(&format!("event WHERE kind = '{kind}'")), "{kind}");
    }
    sandbox.stepwell(&["db", "check"]).ok();
}
