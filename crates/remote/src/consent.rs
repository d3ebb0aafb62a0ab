//! A proposed action on a machine that exists, which acts only when a person names its digest in time.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::money::Cents;
use crate::plan::{Key, digest};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Copies files from the machine.
    Sync,
    Terminate,
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Sync => "sync",
            Action::Terminate => "terminate",
        }
    }
}

/// What would be done, as shown to a person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Proposal {
    pub action: Action,
    /// The call to the provider, or the files.
    pub call: String,
    /// Cost so far.
    pub cost: Cents,
    /// Digest over the paths and contents that are copied, or given up.
    pub files: String,
    /// Files that are given up with the machine; only for [`Action::Terminate`].
    pub discarded: u64,
    pub expires_at: Timestamp,
}

impl Proposal {
    /// What `--confirm` must name.
    pub fn digest(&self, key: &Key) -> String {
        digest(self.action.as_str(), &(key, self))
    }
}
