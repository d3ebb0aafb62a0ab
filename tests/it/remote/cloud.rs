//! A sandbox with a provider in a folder, and what must hold at every moment.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::harness::{Finished, Sandbox};

/// The provider's clock at the start, in milliseconds.
pub const START: i64 = 1_800_000_000_000;
/// Time for which a machine runs. At $0.50 per hour it costs 60.0276 cents.
pub const RUNS: i64 = 4_321_987;
pub const COST: u64 = 60;
/// Host type of $0.50 per hour.
const TYPE: &str = "small";

pub struct Cloud {
    pub sandbox: Sandbox,
}

impl Cloud {
    /// `faults` is the file of the mock provider, `settle` longer than its lag.
    pub fn new(faults: &str, settle: &str) -> Cloud {
        let sandbox = Sandbox::new();
        let settings = format!(
            "[remote.test]\nprovider = \"mock\"\nfolder = \"cloud\"\nsettle = \"{settle}\"\npoll = \"20ms\"\ntimeout = \"30s\"\n"
        );
        sandbox.write("stepwell.toml", settings);
        sandbox.write("cloud/faults", faults);
        let cloud = Cloud { sandbox };
        cloud.set_clock(START);
        cloud
    }

    pub fn set_clock(&self, millis: i64) {
        self.sandbox.write("cloud/clock", millis.to_string());
    }

    pub fn remote(&self, arguments: &[&str]) -> Finished {
        let all: Vec<&str> = ["remote"].iter().chain(arguments).copied().chain(["--output", "json"]).collect();
        self.sandbox.stepwell(&all)
    }

    /// Arguments of a plan whose command makes one file.
    pub fn plan_arguments() -> Vec<&'static str> {
        let command = "echo result > out.txt; echo line";
        vec![
            "plan",
            "--type",
            TYPE,
            "--estimate",
            "1h",
            "--down",
            "out.txt",
            "--skip-preflight",
            "--output",
            "json",
            "--",
            command,
        ]
    }

    /// Plans a machine; returns its digest and key.
    pub fn plan(&self) -> (String, String) {
        let arguments: Vec<&str> = ["remote"].into_iter().chain(Cloud::plan_arguments()).collect();
        let answer = self.sandbox.stepwell(&arguments).ok().json();
        (text(&answer["digest"]), text(&answer["plan"]["key"]))
    }

    /// All instances that were ever created.
    pub fn instances(&self) -> Vec<Value> {
        let Ok(entries) = fs::read_dir(self.sandbox.path("cloud/instances")) else { return Vec::new() };
        let paths = entries.map(|entry| entry.unwrap().path());
        let files = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        files.map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).collect()
    }

    pub fn live(&self) -> Vec<Value> {
        self.instances().into_iter().filter(|instance| instance["ended_ms"].is_null()).collect()
    }

    /// Calls of an operation that reached the provider.
    pub fn calls(&self, operation: &str) -> usize {
        let calls = fs::read_to_string(self.sandbox.path("cloud/calls")).unwrap_or_default();
        calls.lines().filter(|line| line.split(' ').next() == Some(operation)).count()
    }

    pub fn state_of(&self, key: &str) -> String {
        let states = self.sandbox.query(&format!("SELECT state FROM machine WHERE key = '{key}'"));
        states.into_iter().next().unwrap_or_default()
    }

    /// Every billed instance has a record that says so, and nothing was ended without a recorded confirmation.
    #[track_caller]
    pub fn assert_nothing_is_unnoticed(&self, context: &str) {
        if self.sandbox.query_count("machine") == 0 {
            assert_eq!(self.instances(), Vec::<Value>::new(), "{context}: an instance without any record");
            return;
        }
        let open = "SELECT key FROM machine WHERE state NOT IN ('planned', 'gone')";
        let open: BTreeSet<String> = self.sandbox.query(open).into_iter().collect();
        for instance in self.live() {
            let name = text(&instance["name"]);
            assert!(open.contains(&name), "{context}: {name} is billed and nobody knows: {open:?}");
        }
        let confirmed = "SELECT count(*) FROM machine_event WHERE event LIKE '{\"type\":\"terminate_intended\"%'";
        let confirmed: usize = self.sandbox.query(confirmed)[0].parse().unwrap();
        let ended = self.instances().len() - self.live().len();
        assert!(ended <= confirmed, "{context}: {ended} ended, {confirmed} confirmed");
        assert!(self.calls("terminate") == 0 || confirmed > 0, "{context}: terminate without a confirmation");
    }
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
