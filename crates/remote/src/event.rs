//! What can happen to a machine. The database keeps these events; a machine is their sum.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::consent::Proposal;
use crate::money::Price;
use crate::plan::Plan;
use crate::provider::{Address, InstanceId, Phase};

/// Something that a person should know, reported once until it is over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alert {
    /// The work is silent and uses nothing.
    Idle,
    /// The command has ended, and the machine is still billed.
    Ended,
    /// The cost has reached the maximum of the plan.
    Cap,
}

impl Alert {
    pub fn as_str(self) -> &'static str {
        match self {
            Alert::Idle => "idle",
            Alert::Ended => "ended",
            Alert::Cap => "cap",
        }
    }
}

/// Times named `provider_at` are those of the provider's clock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    Planned {
        plan: Box<Plan>,
    },
    /// Committed before the provider is called.
    LaunchIntended {
        provider_at: Option<Timestamp>,
    },
    LaunchAnswered {
        instance: InstanceId,
        provider_at: Option<Timestamp>,
    },
    /// The call failed; an instance may exist.
    LaunchUnanswered {
        why: String,
    },
    /// The instance was found by its name.
    Adopted {
        instance: InstanceId,
    },
    /// No instance of this name has appeared.
    NotCreated,
    Seen {
        phase: Phase,
        address: Option<Address>,
        started_at: Option<Timestamp>,
        price: Option<Price>,
        provider_at: Option<Timestamp>,
    },
    /// The provider gave no usable answer.
    Unreachable {
        why: String,
    },
    Started,
    Exited {
        code: i32,
    },
    Proposed {
        proposal: Proposal,
    },
    /// Committed before the provider is called, under the digest that a person confirmed.
    TerminateIntended {
        digest: String,
    },
    TerminateAnswered {
        error: Option<String>,
    },
    /// First of the two answers that an instance is gone.
    GoneSeen {
        ended_at: Option<Timestamp>,
        provider_at: Option<Timestamp>,
    },
    /// The second answer, and the list does not have it either.
    GoneConfirmed,
    Alerted {
        alert: Alert,
    },
    AlertEnded {
        alert: Alert,
    },
    Synced {
        files: u64,
        bytes: u64,
    },
}
