//! A workflow as data: parameters and steps. Parsed from TOML by `parse`, checked by `validate`.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::budget::{Budget, Sla};
use super::pools::Demand;
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_base::ids::StepId;
use stepwell_base::secret::SecretSource;

/// A complete workflow definition. A run pins its serialised form, with resolved parameters.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WorkflowSpec {
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// Parameters after overrides (`-S name=value`).
    pub params: Map<String, Value>,
    /// The default of each parameter that was given another value; `None` in runs of builds that did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<Map<String, Value>>,
    /// In definition order; `validate` has proven that the `needs` have no cycle.
    pub steps: Vec<StepSpec>,
    /// Results of a run for the step that started it; strings may hold templates.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub outputs: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Budget::is_unlimited")]
    pub budget: Budget,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sla: Option<Sla>,
    /// The sources of the secrets, never the values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretSource>,
}

/// The file of a child workflow, as it was when the run was submitted.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PinnedWorkflow {
    /// The name of the file, for messages.
    pub origin: String,
    pub source: String,
    /// Absolute path of the folder of the file; empty if it has none.
    #[serde(default, skip_serializing_if = "is_empty", with = "stepwell_base::path_text")]
    pub folder: PathBuf,
    /// The workflows that its own steps start, by the names they use.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub children: BTreeMap<String, PinnedWorkflow>,
}

impl WorkflowSpec {
    /// Returns a step and everything that needs it, directly or not, in definition order; empty for an unknown step.
    pub fn with_descendants(&self, step: &StepId) -> Vec<StepId> {
        let mut found: HashSet<&StepId> = self.steps.iter().filter(|s| s.id == *step).map(|s| &s.id).collect();
        loop {
            let before = found.len();
            let next = self.steps.iter().filter(|s| s.needs.iter().any(|need| found.contains(need))).map(|s| &s.id);
            let next: Vec<&StepId> = next.collect();
            found.extend(next);
            if found.len() == before {
                return self.steps.iter().map(|s| &s.id).filter(|id| found.contains(id)).cloned().collect();
            }
        }
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StepSpec {
    pub id: StepId,
    pub kind: String,
    /// Declared `needs` and every step that a template of this step refers to; no duplicates.
    pub needs: Vec<StepId>,
    /// Arguments of the step kind; strings may hold templates.
    pub with: Map<String, Value>,
    /// Expression that gives a list once the needs are done; one child step per item.
    #[serde(default)]
    pub for_each: Option<String>,
    /// Expression; if it is false, the step is skipped.
    #[serde(default)]
    pub when: Option<String>,
    #[serde(default)]
    pub retry: RetryPolicy,
    #[serde(default)]
    pub timeout: Timeouts,
    /// The workflow that a step of kind `workflow` starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child: Option<PinnedWorkflow>,
    /// Pool units that every attempt holds.
    #[serde(default, skip_serializing_if = "Demand::is_empty")]
    pub resources: Demand,
    /// Among ready steps of runs with equal priority, those with the highest number are claimed first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// Name of the limit that every attempt counts against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<String>,
    /// Name of the executor that runs the attempts; `None` leaves the choice to the pools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
}

fn is_empty(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// Exponential backoff: `initial_interval * backoff_coefficient^(n-1)`, at most `maximum_interval`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RetryPolicy {
    pub initial_interval: Duration,
    pub backoff_coefficient: f64,
    pub maximum_interval: Duration,
    /// Counts the first attempt; 1 means no retry.
    pub maximum_attempts: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub non_retryable: Vec<NonRetryable>,
}

/// A sort of failure that a retry cannot help.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NonRetryable {
    Kind(FailureKind),
    /// Exit code of a program; 128 + n stands for signal n.
    ExitCode(i32),
}

impl RetryPolicy {
    /// True if the workflow excludes this failure from retries.
    pub fn rules_out(&self, failure: &Failure) -> bool {
        self.non_retryable.iter().any(|rule| match rule {
            NonRetryable::Kind(kind) => failure.kind == *kind,
            NonRetryable::ExitCode(code) => failure.exit.is_some_and(|exit| exit.code() == *code),
        })
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            initial_interval: Duration::from_secs(1),
            backoff_coefficient: 2.0,
            maximum_interval: Duration::from_secs(60),
            maximum_attempts: 3,
            non_retryable: Vec::new(),
        }
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Timeouts {
    /// Longest run of one attempt; `None` means no limit.
    #[serde(default)]
    pub start_to_close: Option<Duration>,
    /// Longest time from when the step is first ready to its end, over all attempts and the pauses between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_to_close: Option<Duration>,
    /// Length of the lease: an attempt that is silent for longer is fenced off and started again.
    pub heartbeat: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts { start_to_close: None, schedule_to_close: None, heartbeat: Duration::from_secs(30) }
    }
}
