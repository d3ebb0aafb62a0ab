//! What is sent, how failures are told, and what a person can do.

use std::time::{Duration, Instant};

use serde_json::json;

use super::receiver::{Manner, Receiver};
use crate::harness::{Sandbox, eventually, signal};

const FLOW: &str = r#"
name = "flow"
[params]
fail = false
[[step]]
id = "a"
kind = "command"
retry = { maximum_attempts = 1 }
with = { shell = "echo '{\"val_loss\": 2.5}' > \"$STEPWELL_VALUES\"; [ \"$FAIL\" = false ] || { echo no data >&2; exit 7; }", env = { FAIL = "{{ params.fail }}" } }
"#;
const ASKS: &str = "name = \"asks\"\n[[step]]\nid = \"ask\"\nkind = \"approval\"\nwith.prompt = \"Ship it?\"\n";

fn sandbox(settings: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("flow.toml", FLOW);
    sandbox.write("asks.toml", ASKS);
    sandbox.write("hook.secret", Receiver::secret());
    sandbox.write("stepwell.toml", settings);
    sandbox
}

#[test]
fn a_run_tells_its_story_signed() {
    let receiver = Receiver::start(|_| Manner::Accepts);
    let sandbox =
        sandbox(&receiver.settings("headers = { X-Team = \"lab\", Authorization = { file = \"hook.secret\" } }"));
    sandbox.stepwell(&["run", "flow.toml", "--tag", "t"]).ok();
    sandbox.stepwell(&["run", "flow.toml", "-S", "fail=true"]).exits(3);
    let got = receiver.got();
    let kinds: Vec<String> = got.iter().map(|got| got.kind()).collect();
    assert_eq!(kinds, ["run.started", "run.succeeded", "run.started", "step.failed", "run.failed"]);
    let (succeeded, failed) = (got[1].json(), got[4].json());
    assert_eq!(succeeded["data"]["run"]["name"], "flow-1");
    assert_eq!(
        (&succeeded["data"]["run"]["status"], &succeeded["data"]["run"]["tags"]),
        (&json!("succeeded"), &json!(["t"]))
    );
    assert_eq!(succeeded["data"]["values"], json!({ "a": { "val_loss": 2.5 } }));
    assert_eq!(failed["data"]["failure"]["step"], "a");
    assert!(failed["text"].as_str().unwrap().starts_with("run flow-2 has failed at step a: "), "{failed}");
    assert!(failed["data"]["failure"]["message"].as_str().unwrap().contains("no data"), "{failed}");
    assert!(succeeded["timestamp"].as_str().unwrap().ends_with('Z'), "{succeeded}");
    for one in &got {
        assert_eq!((one.headers["x-team"].as_str(), &one.headers["authorization"]), ("lab", &Receiver::secret()));
        assert!(one.headers["user-agent"].starts_with("stepwell/"));
    }
    let list = sandbox.stepwell(&["webhook", "list", "--output", "json"]).ok().json();
    let one = &list["webhooks"][0];
    assert_eq!((&one["delivered"], &one["open"], &one["given_up"]), (&json!(5), &json!(0), &json!(0)), "{list}");
    sandbox.stepwell(&["doctor"]).ok();
    sandbox.stepwell(&["db", "check"]).ok();
    // Neither the secret nor the rest of the address is shown or stored.
    assert!(!sandbox.stepwell(&["config", "show"]).ok().stdout.contains("/hook"));
}

#[test]
fn a_receiver_gets_what_it_wants_and_nothing_of_before() {
    let receiver = Receiver::start(|_| Manner::Accepts);
    let sandbox = sandbox("");
    sandbox.stepwell(&["run", "flow.toml"]).ok();
    sandbox.write("stepwell.toml", receiver.settings("events = [\"run.failed\", \"run.waiting\", \"run.canceled\"]"));
    sandbox.stepwell(&["run", "flow.toml", "--no-reuse"]).ok();
    let mut worker = sandbox.start(&["worker"]);
    sandbox.stepwell(&["run", "asks.toml", "--detach"]).ok();
    eventually("somebody is asked", || receiver.got().len() == 1);
    let asked = receiver.got()[0].json();
    assert_eq!(
        (&asked["type"], &asked["data"]["wait"]),
        (&json!("run.waiting"), &json!({ "for": "approval", "prompt": "Ship it?" }))
    );
    signal(worker.id(), "INT");
    worker.wait().unwrap();
    // Without an engine, the verb is the engine.
    sandbox.stepwell(&["cancel", "last"]).ok();
    let kinds: Vec<String> = receiver.got().iter().map(|got| got.kind()).collect();
    assert_eq!(kinds, ["run.waiting", "run.canceled"]);
    // `off` turns webhooks off; the next engine tells what was left out.
    assert!(
        sandbox
            .command(&["run", "flow.toml", "-S", "fail=true"])
            .env("STEPWELL_NOTIFY", "off")
            .output()
            .unwrap()
            .status
            .code()
            == Some(3)
    );
    assert_eq!(receiver.got().len(), 2);
    sandbox.stepwell(&["worker", "--exit-when-idle"]).ok();
    assert_eq!(receiver.got().last().unwrap().kind(), "run.failed");
}

#[test]
fn one_bad_receiver_delays_neither_the_run_nor_the_others() {
    let good = Receiver::start(|_| Manner::Accepts);
    let bad = Receiver::start(|number| [Manner::Hangs, Manner::Floods, Manner::Closes][number % 3]);
    let settings = good.settings("name = \"good\"") + &bad.settings("name = \"bad\"\ntimeout = \"2s\"");
    let sandbox = sandbox(&settings);
    let mut worker = sandbox.start(&["worker"]);
    eventually("the worker is there", || sandbox.state().join("engine.lock").exists());
    let start = Instant::now();
    for _ in 0..3 {
        sandbox.stepwell(&["run", "flow.toml", "--detach", "--no-reuse"]).ok();
    }
    eventually("the good receiver has all", || good.accepted().len() == 6);
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    eventually("the bad one is tried", || bad.got().len() >= 3);
    assert!(bad.accepted().is_empty());
    let stopped = Instant::now();
    signal(worker.id(), "INT");
    worker.wait().unwrap();
    assert!(stopped.elapsed() < Duration::from_secs(4), "{:?}", stopped.elapsed());
    sandbox.stepwell(&["db", "check"]).ok();
}

#[test]
fn a_message_that_fails_too_often_is_given_up_and_can_be_sent_again() {
    let receiver = Receiver::start(|number| match number {
        0 => Manner::Redirects,
        1 => Manner::Answers(500),
        2 => Manner::Answers(429),
        3 => Manner::Answers(410),
        _ => Manner::Accepts,
    });
    let sandbox =
        sandbox(&receiver.settings("name = \"hook\"\nevents = [\"run.failed\"]\nretries = [\"10ms\", \"10ms\"]"));
    sandbox.stepwell(&["run", "flow.toml", "-S", "fail=true"]).exits(3);
    // The engine of a single run ends before the retries; the next one sends them.
    sandbox.stepwell(&["worker", "--exit-when-idle"]).ok();
    let list = || sandbox.stepwell(&["webhook", "list", "--output", "json"]).ok().json()["webhooks"][0].clone();
    eventually("it is given up", || {
        sandbox.stepwell(&["worker", "--exit-when-idle"]).ok();
        list()["given_up"] == 1
    });
    let got = receiver.got();
    assert_eq!(got.len(), 3);
    assert!(got.iter().all(|one| one.id == got[0].id && one.body == got[0].body), "one id and one body");
    assert_eq!(list()["last"]["status"], 429);
    assert!(sandbox.stepwell(&["doctor"]).ok().stdout.contains("hook has not got 1 message of this week"));
    // Gone: nothing more is tried by itself.
    let id = &got[0].id;
    sandbox.stepwell(&["webhook", "redeliver", id]).exits(3);
    assert_eq!(list()["last"]["error"], "answer 410: out of luck");
    sandbox.stepwell(&["webhook", "redeliver", "--given-up", "hook"]).ok();
    let one = list();
    assert_eq!((&one["given_up"], &one["delivered"]), (&json!(0), &json!(1)), "{one}");
    assert_eq!(receiver.got().last().unwrap().id, *id);
    // A test tells at once what came of it.
    let told = sandbox.stepwell(&["webhook", "test", "--output", "json"]).ok().json();
    assert_eq!((&told["deliveries"][0]["delivered"], &told["deliveries"][0]["status"]), (&json!(true), &json!(204)));
    assert_eq!(receiver.got().last().unwrap().kind(), "webhook.test");
    sandbox.write("hook.secret", "guessed");
    sandbox
        .stepwell(&["webhook", "test"])
        .exits(2)
        .says(&["the secret of webhook `hook` does not start with `whsec_`"]);
    sandbox.stepwell(&["webhook", "test", "hok"]).exits(6).says(&["hook"]);
    sandbox.stepwell(&["db", "check"]).ok();
}

#[test]
fn wrong_settings_are_named() {
    for (settings, said) in [
        ("url = \"http://example.com/\"\nsecret = { env = \"S\" }", "without encryption"),
        ("url = \"https://u:p@example.com/\"\nsecret = { env = \"S\" }", "user and a password"),
        ("url = \"https://example.com/\"", "needs a `secret`"),
        ("url = \"https://example.com/\"\nsecret = \"whsec_x\"", "must name the source of its value"),
        ("url = \"https://example.com/\"\nsecret = { env = \"S\" }\nevents = [\"run.fail\"]", "run.failed"),
        (
            "url = \"https://example.com/\"\nsecret = { env = \"S\" }\nheaders = { Authorization = \"x\" }",
            "sounds like a secret",
        ),
        ("url = \"https://example.com/\"\nsecret = { env = \"S\" }\nretries = [\"0s\"]", "`retries` cannot be `0s`"),
        ("url = \"https://example.com/\"\nsecret = { env = \"S\" }\nurls = 1", "unknown key `urls`"),
    ] {
        let sandbox = sandbox(&format!("[[webhook]]\n{settings}\n"));
        sandbox.stepwell(&["webhook", "list"]).exits(2).says(&[said]);
    }
    let twice = "[[webhook]]\nurl = \"https://example.com/\"\nsecret = { env = \"S\" }\n".repeat(2);
    sandbox(&twice).stepwell(&["webhook", "list"]).exits(2).says(&["two webhooks `example.com`"]);
}
