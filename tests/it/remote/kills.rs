//! The whole life of a machine under every fault of the provider, killed at every failpoint: one instance is created, it is
//! never billed unnoticed, never ended without a confirmation, and its cost is right to the cent.
//!
//! `cargo test` kills at every point without a fault, and at some with each; `STEPWELL_REMOTE_KILLS=all` at all of them.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;
use stepwell_base::faults::RECORD_VARIABLE;

use super::cloud::{COST, Cloud, RUNS, START, text};
use crate::harness::Finished;

/// Faults with the time that the settings allow for the provider's list.
const FAULTS: [(&str, &str); 9] = [
    ("", "60ms"),
    ("launch lost 1\n", "60ms"),
    ("launch error 1\n", "60ms"),
    ("launch refuse 1\n", "60ms"),
    ("list lag 1000\n", "1500ms"),
    ("launch lost 1\nlist lag 1000\n", "1500ms"),
    ("terminate ignore 2\n", "60ms"),
    ("terminate lost 1\nterminate ignore 1\n", "60ms"),
    ("list fail 2\nstatus fail 3\nterminate fail 1\nclock skew 10800000\n", "60ms"),
];
/// Attempts of a person to get a machine launched or ended.
const PATIENCE: usize = 12;
/// With a fault, every so many points are tried.
const STRIDE: usize = 20;

/// Processes that can be killed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Verb {
    Plan,
    Launch,
    AskForEnd,
    End,
}

/// The `nth` time that a verb reaches a point.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Kill {
    verb: Verb,
    point: String,
    nth: usize,
}

struct Life {
    cloud: Cloud,
    kill: Option<Kill>,
    context: String,
    /// Points that were reached, by verb.
    record: BTreeMap<Verb, Vec<String>>,
}

impl Life {
    /// Runs a verb; the first one of its kind is killed if it is the one to kill.
    fn verb(&mut self, verb: Verb, arguments: &[&str]) -> Finished {
        let sandbox = &self.cloud.sandbox;
        let all: Vec<&str> = ["remote"].iter().chain(arguments).copied().collect();
        let mut command = sandbox.command(&all);
        let record = sandbox.path("record");
        let _ = fs::remove_file(&record);
        command.env(RECORD_VARIABLE, &record);
        if let Some(kill) = self.kill.take_if(|kill| kill.verb == verb) {
            let armed = match kill.nth {
                1 => format!("{}=1*return(abort)", kill.point),
                nth => format!("{}={}*off->1*return(abort)", kill.point, nth - 1),
            };
            command.env("FAILPOINTS", armed);
        }
        let mut child =
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let output = thread::scope(|scope| {
            let read = |stream: &mut dyn std::io::Read| {
                let mut text = Vec::new();
                stream.read_to_end(&mut text).unwrap();
                text
            };
            let errors = scope.spawn(move || read(&mut stderr));
            let stdout = read(&mut stdout);
            let status = child.wait().unwrap();
            std::process::Output { status, stdout, stderr: errors.join().unwrap() }
        });
        // Only points of the process itself: those of the provider's processes are not ours.
        let lines = fs::read_to_string(&record).unwrap_or_default();
        let own = lines.lines().filter_map(|line| line.strip_prefix(&format!("{pid} ")));
        self.record.entry(verb).or_insert_with(|| own.map(str::to_owned).collect());
        self.cloud.assert_nothing_is_unnoticed(&self.context);
        Finished::from(output)
    }

    fn plan(&mut self) -> (String, String) {
        loop {
            let planned = self.verb(Verb::Plan, &Cloud::plan_arguments());
            if planned.code == 0 {
                let answer = planned.json();
                return (text(&answer["digest"]), text(&answer["plan"]["key"]));
            }
        }
    }

    /// As a patient person: confirms, looks, and plans again only when a machine is known not to exist.
    fn launch(&mut self) -> String {
        let (mut digest, mut key) = self.plan();
        for _ in 0..PATIENCE {
            let launched = self.verb(Verb::Launch, &["launch", "--confirm", &digest, "--output", "json"]);
            if launched.code == 0 {
                return key;
            }
            if self.cloud.state_of(&key) == "gone" {
                (digest, key) = self.plan();
            }
        }
        panic!("{}: no machine", self.context);
    }

    fn save(&mut self, key: &str) {
        let copy = self.cloud.sandbox.state().join("remote").join(key).join("out.txt");
        for _ in 0..200 {
            let asked = self.cloud.remote(&["sync", key]);
            if asked.code == 0 {
                let answer: Value = asked.json();
                self.cloud.remote(&["sync", key, "--confirm", &text(&answer["digest"])]);
            }
            if copy.exists() && self.cloud.remote(&["sync", key]).json()["files"] == serde_json::json!([]) {
                return;
            }
        }
        panic!("{}: nothing came back", self.context);
    }

    fn end(&mut self, key: &str) {
        for _ in 0..PATIENCE {
            let asked = self.verb(Verb::AskForEnd, &["terminate", key, "--output", "json"]);
            if asked.code != 0 || asked.json()["acts"] == true {
                if self.cloud.state_of(key) == "gone" {
                    return;
                }
                continue;
            }
            let digest = text(&asked.json()["digest"]);
            let ended = self.verb(Verb::End, &["terminate", key, "--confirm", &digest, "--output", "json"]);
            if ended.code == 0 {
                return;
            }
        }
        panic!("{}: it never ended", self.context);
    }
}

fn live((faults, settle): (&str, &str), kill: Option<Kill>) -> BTreeMap<Verb, Vec<String>> {
    let context = format!("{faults:?} {kill:?}");
    let mut life = Life { cloud: Cloud::new(faults, settle), kill, context: context.clone(), record: BTreeMap::new() };
    let key = life.launch();
    assert_eq!(life.cloud.calls("terminate"), 0, "{context}");
    assert_eq!(life.cloud.live().len(), 1, "{context}");
    life.save(&key);
    life.cloud.set_clock(START + RUNS);
    life.end(&key);

    let instances = life.cloud.instances();
    assert_eq!(instances.len(), 1, "{context}: created once, ever");
    assert_eq!(life.cloud.live().len(), 0, "{context}");
    let time = instances[0]["ended_ms"].as_i64().unwrap() - instances[0]["started_ms"].as_i64().unwrap();
    assert_eq!(time, RUNS, "{context}");
    let all = life.cloud.remote(&["status", "--all"]).ok().json();
    let machine = all["machines"].as_array().unwrap().iter().find(|machine| machine["key"] == key.as_str()).unwrap();
    assert_eq!(
        (machine["gone"].as_str(), machine["cost_cents"].as_u64()),
        (Some("terminated"), Some(COST)),
        "{context}"
    );
    let confirmed = "SELECT count(*) FROM machine_event WHERE event LIKE '{\"type\":\"gone_%'";
    assert!(life.cloud.sandbox.query(confirmed)[0].parse::<u64>().unwrap() >= 2, "{context}: one answer is not enough");
    life.cloud.remote(&["audit"]).ok();
    life.cloud.sandbox.stepwell(&["db", "check"]).ok();
    life.record
}

/// Every hit of every point in a life that nobody kills.
fn kills(record: &BTreeMap<Verb, Vec<String>>) -> Vec<Kill> {
    let mut kills = Vec::new();
    for (verb, points) in record {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for point in points {
            let nth = seen.entry(point).or_insert(0);
            *nth += 1;
            let is_ours = point.starts_with("remote.") || point.starts_with("store.commit");
            if is_ours && (*nth <= 8 || point.starts_with("remote.record")) {
                kills.push(Kill { verb: *verb, point: point.clone(), nth: *nth });
            }
        }
    }
    kills
}

#[test]
fn one_instance_is_created_watched_and_ended_whatever_fails() {
    let all = std::env::var("STEPWELL_REMOTE_KILLS").is_ok_and(|which| which == "all");
    let work: Mutex<Vec<((&str, &str), Kill)>> = Mutex::new(Vec::new());
    for (number, fault) in FAULTS.into_iter().enumerate() {
        let kills = kills(&live(fault, None));
        assert!(kills.len() > 30, "{fault:?}: {kills:?}");
        let stride = if all || number == 0 { 1 } else { STRIDE };
        let chosen = kills.into_iter().skip(number % stride).step_by(stride);
        work.lock().unwrap().extend(chosen.map(|kill| (fault, kill)));
    }
    let total = work.lock().unwrap().len();
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let next = work.lock().unwrap().pop();
                    let Some((fault, kill)) = next else { return };
                    live(fault, Some(kill));
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(done.load(Ordering::Relaxed), total);
    println!("{total} kills of {} faults", FAULTS.len());
}
