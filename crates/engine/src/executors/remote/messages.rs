//! The lines that engine and agent write into the files of an attempt: one JSON object each.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use stepwell_base::failure::Failure;
use stepwell_base::protocol::{AttemptRequest, FromAttempt, ToAttempt};
use stepwell_workflow::pools::Held;

use crate::executors::executor::Exit;

/// Raised by every change that an older agent or engine would misread.
pub(super) const PROTOCOL: u32 = 1;
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The part of a request that every build can read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub protocol: u32,
    pub version: String,
    /// The executor that the attempt was given to.
    pub executor: String,
}

/// The request of an attempt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub head: Head,
    /// Length of the lease.
    pub heartbeat: Duration,
    pub resources: Held,
    /// Maximum size of the attempt's log in bytes; 0 means no limit.
    pub log_limit: u64,
    pub request: AttemptRequest,
}

/// From the engine to the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    Attempt(ToAttempt),
    /// Ask every process of the attempt to end.
    Terminate,
    /// End every process of the attempt.
    Kill,
}

/// From the agent to the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Told {
    /// The first line of an agent that runs the attempt.
    Started {
        machine: String,
    },
    Message(FromAttempt),
    Garbled(String),
    /// The agent does not run the attempt.
    Refused(Failure),
    /// The last line: no process of the attempt is left.
    Ended(Exit),
}
