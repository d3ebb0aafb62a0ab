//! An executor under test, without an engine: the test itself gives orders and hears reports.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_base::protocol::{AttemptRequest, FromAttempt};
use stepwell_engine::executors::{Attempt, AttemptId, Executor, Exit, Launch, Local, Placed, Report, Sink, Sweep};
use stepwell_workflow::executor::{ExecutorConfig, Executors, Slurm, Ssh, System};
use uuid::Uuid;

use crate::harness::Sandbox;

const PATIENCE: Duration = Duration::from_secs(60);

/// The executors that this machine can test, by name.
pub fn sites() -> Vec<&'static str> {
    let mut sites = vec!["local"];
    for (name, variable) in [("slurm", "STEPWELL_SLURM"), ("ssh", "STEPWELL_SSHD")] {
        match std::env::var_os(variable) {
            Some(_) => sites.push(name),
            None => {
                println!("skipped: {name} needs scripts/drill/{}", if name == "ssh" { "sshd.sh" } else { "slurm.sh" })
            }
        }
    }
    sites
}

/// Arguments of `ssh` for the server of `scripts/drill/sshd.sh`.
pub fn ssh_options(folder: &str) -> Vec<String> {
    let options = ["-i", "FOLDER/key", "-o", "UserKnownHostsFile=FOLDER/known_hosts", "-o", "IdentitiesOnly=yes"];
    options.iter().map(|option| option.replace("FOLDER", folder)).collect()
}

pub struct Bench {
    pub site: &'static str,
    pub sandbox: Sandbox,
    executors: Executors,
}

impl Bench {
    pub fn new(site: &'static str) -> Bench {
        let sandbox = Sandbox::new();
        let program = Some(PathBuf::from(env!("CARGO_BIN_EXE_stepwell")));
        let system = match site {
            "slurm" => Some(System::Slurm(Slurm { program, ..Slurm::default() })),
            "ssh" => {
                let folder = std::env::var("STEPWELL_SSHD").unwrap();
                let port = std::fs::read_to_string(format!("{folder}/port")).unwrap();
                let there = format!("{folder}/there-{}", Uuid::now_v7());
                let (host, options) = ("127.0.0.1".to_owned(), ssh_options(&folder));
                Some(System::Ssh(Ssh { host, port: port.trim().parse().ok(), folder: there, options, program }))
            }
            _ => None,
        };
        let by_name = system.map(|system| (site.to_owned(), ExecutorConfig { system, slots: 4 }));
        let executors = Executors { by_name: by_name.into_iter().collect(), of_pools: BTreeMap::new() };
        stepwell_artifact::ArtifactStore::open(&sandbox.state()).unwrap();
        Bench { site, sandbox, executors }
    }

    /// A new engine's executor.
    pub fn engine(&self) -> Engine<'_> {
        let (sender, heard) = channel();
        let sink: Sink = Arc::new(move |_, _, report| drop(sender.send(report)));
        let program = PathBuf::from(env!("CARGO_BIN_EXE_stepwell"));
        let local = Local::new(program, sink.clone(), 64 << 20);
        let placed = Placed::new(local, &self.executors, &self.sandbox.state(), &sink, 64 << 20);
        Engine { bench: self, placed, heard }
    }

    pub fn request(&self, script: &str, with: Value) -> AttemptRequest {
        let run = RunId(Uuid::now_v7());
        let mut arguments = json!({ "shell": script });
        arguments.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
        AttemptRequest {
            run,
            run_name: "contract".to_owned(),
            step: StepId::from("step"),
            kind: "command".to_owned(),
            attempt: 1,
            fence: Fence(1),
            key: StepKey("key".to_owned()),
            with: arguments,
            secrets: Default::default(),
            fingerprint: Value::Null,
            state_dir: self.sandbox.state(),
            scratch_dir: self.sandbox.state().join(format!("runs/{run}/step/scratch")),
            project_dir: PathBuf::new(),
            checkpoints: Vec::new(),
            forked_at: None,
            measured_up_to: None,
        }
    }

    pub fn path(&self, name: &str) -> String {
        self.sandbox.path(name).display().to_string()
    }
}

pub struct Engine<'a> {
    bench: &'a Bench,
    pub placed: Placed,
    heard: Receiver<Report>,
}

impl Engine<'_> {
    pub fn start(&self, request: AttemptRequest, heartbeat: Duration) -> Box<dyn Attempt> {
        let executor = Some(self.bench.site.to_owned()).filter(|site| site != "local");
        self.placed.start(Launch { request, heartbeat, resources: Default::default(), executor }).unwrap()
    }

    /// Hears reports until one matches, and returns all up to it.
    pub fn hear(&self, what: &str, is_it: impl Fn(&Report) -> bool) -> Vec<Report> {
        let (deadline, mut all) = (Instant::now() + PATIENCE, Vec::new());
        while let Ok(report) = self.heard.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            all.push(report);
            if is_it(&all[all.len() - 1]) {
                return all;
            }
        }
        panic!("{}: {what} was not heard, only {all:?}", self.bench.site);
    }

    /// Hears everything to the end of the attempt, and reaps it.
    pub fn hear_end(&self, attempt: &mut dyn Attempt) -> (Vec<FromAttempt>, Exit) {
        let reports = self.hear("the end", |report| matches!(report, Report::Ended | Report::Last(_)));
        let exit = attempt.reap(Sweep::GroupAndMarked);
        (messages(reports), exit)
    }
}

pub fn messages(reports: Vec<Report>) -> Vec<FromAttempt> {
    let message = |report| match report {
        Report::Message(message) | Report::Last(message) => Some(message),
        Report::Garbled(why) => panic!("{why}"),
        Report::Ended => None,
    };
    reports.into_iter().filter_map(message).collect()
}

pub fn id(request: &AttemptRequest) -> AttemptId {
    AttemptId { run: request.run, step: request.step.clone(), fence: request.fence }
}
