//! Counts over the rows of a batch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::answer::Usage;
use crate::error::Code;

/// `request_counts` of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RequestCounts {
    pub total: u64,
    pub completed: u64,
    pub failed: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    pub requests: RequestCounts,
    pub usage: Usage,
    /// Failed rows by category.
    pub failures: BTreeMap<Code, u64>,
    /// Rows whose answer is that of an earlier batch.
    pub reused: u64,
}

impl Counts {
    pub fn answered(&mut self, usage: Usage) {
        self.requests.completed += 1;
        self.usage.add(usage);
    }

    pub fn failed(&mut self, code: Code) {
        self.requests.failed += 1;
        *self.failures.entry(code).or_default() += 1;
    }

    /// Rows that have a line in one of the files.
    pub fn done(&self) -> u64 {
        self.requests.completed + self.requests.failed
    }
}
