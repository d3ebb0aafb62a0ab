//! Names the process that holds the engine lock.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use stepwell_base::ids::RunId;

/// Task of a process of this program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    /// `worker` or `serve`, which end only when they are stopped.
    Service(&'static str),
    /// A verb that drives one run and then ends.
    Run,
    Unknown,
}

impl Role {
    /// The role by the words of a command line.
    fn of<'a>(words: impl Iterator<Item = &'a str>) -> Role {
        let verb = words.skip(1).find(|word| ROLES.iter().any(|(verb, _)| verb == word));
        ROLES.iter().find(|(known, _)| Some(*known) == verb).map_or(Role::Unknown, |(_, role)| *role)
    }
}

const ROLES: [(&str, Role); 8] = [
    ("worker", Role::Service("worker")),
    ("serve", Role::Service("serve")),
    ("run", Role::Run),
    ("start-training", Role::Run),
    ("resume", Role::Run),
    ("retry", Role::Run),
    ("rerun", Role::Run),
    ("fork", Role::Run),
];

/// The holder of the engine lock. Everyone who can read the state directory sees it, so it never includes a command
/// line, which may hold secrets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    pub host: String,
    pub started_at: Timestamp,
    /// The schema that the holder's build writes; 0 for a build that does not record it.
    #[serde(default)]
    pub schema: u32,
    /// The only run that it drives, with its child runs. `None` for an engine that serves all runs, for one that has
    /// just started, for other holders such as `gc`, and for a build that does not record it.
    #[serde(default)]
    pub run: Option<RunId>,
    /// Attempts that it runs at a time; `None` until it is an engine.
    #[serde(default)]
    pub slots: Option<usize>,
}

impl Holder {
    /// Text such as `process 4711`, with its host if that is another one.
    pub fn short(&self) -> String {
        match self.pid {
            0 => "another process".to_owned(),
            pid if self.host == host_name() => format!("process {pid}"),
            pid => format!("process {pid} on {}", self.host),
        }
    }
}

pub(crate) fn host_name() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = kernel.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    match name.trim() {
        "" => "this host".to_owned(),
        name => name.to_owned(),
    }
}

impl Holder {
    /// What the process does, if it runs here; only its verb is looked for in its command line.
    fn role(&self) -> Role {
        if self.pid == 0 || self.host != host_name() {
            return Role::Unknown;
        }
        let line = std::fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        Role::of(line.split('\0'))
    }

    /// How to end the process without harm.
    pub(crate) fn how_to_end(&self) -> String {
        let pid = self.pid;
        match self.role() {
            Role::Service(verb) => format!(
                "that is `stepwell {verb}`, which ends only when it is stopped: `kill {pid}` lets its steps write a checkpoint; \
                 start it again afterwards, and it continues its runs"
            ),
            Role::Run => format!(
                "that is a run in another terminal: wait for it, or stop it with `kill {pid}`, after which `stepwell resume` \
                 continues it"
            ),
            Role::Unknown => format!("wait for it, stop it with `kill {pid}`, or use another `--state-dir`"),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            // The holder has not written its record yet, or its build uses a different format.
            0 => f.write_str("another process"),
            pid => write!(f, "engine process {pid} on {} since {}", self.host, self.started_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_on_another_machine_is_named_with_it() {
        let holder = |pid, host: &str| Holder {
            pid,
            host: host.to_owned(),
            started_at: Timestamp::UNIX_EPOCH,
            schema: 5,
            run: None,
            slots: None,
        };
        assert_eq!(holder(7, &host_name()).short(), "process 7");
        assert_eq!(holder(7, "node-3.far").short(), "process 7 on node-3.far");
        assert_eq!(holder(0, "").short(), "another process");
    }

    #[test]
    fn the_role_of_a_process_is_its_verb() {
        let role = |line: &str| Role::of(line.split(' '));
        assert_eq!(role("/bin/stepwell --state-dir x worker"), Role::Service("worker"));
        assert_eq!(role("stepwell -q serve --port 1"), Role::Service("serve"));
        assert_eq!(role("stepwell run w.toml"), Role::Run);
        assert_eq!(role("worker"), Role::Unknown, "the name of the program is no verb");
        assert_eq!(role("stepwell gc"), Role::Unknown);
    }

    #[test]
    fn the_record_of_an_older_build_is_read() {
        let text = "{\"pid\":7,\"host\":\"a\",\"started_at\":\"2026-11-30T05:00:00Z\",\"schema\":5}";
        let holder: Holder = serde_json::from_str(text).unwrap();
        assert_eq!((holder.pid, holder.run, holder.slots), (7, None, None));
    }
}
