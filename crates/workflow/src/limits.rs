//! Limits that the owner of the machine sets for all runs: part of the settings, not of a workflow.

use std::collections::BTreeMap;

use super::catalog::Placement;
use super::executor::Executors;
use super::pools::{Demand, Pools};
use super::rate_limit::RateLimit;
use super::webhook::Webhook;
use stepwell_base::failure::Failure;
use stepwell_base::suggest;

/// Resources that ready steps compete for. Steps of one class are served in the order of their ready times.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Class {
    pub placement: Placement,
    pub priority: i32,
    pub demand: Demand,
    pub rate_limit: Option<String>,
    /// The executor that the steps ask for by name.
    pub executor: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    pub pools: Pools,
    pub rate_limits: BTreeMap<String, RateLimit>,
    /// Where attempts run, other than on this machine.
    pub executors: Executors,
    /// Program and arguments to start once per alert.
    pub alert_command: Vec<String>,
    /// Program and arguments to start once per ended run.
    pub notify_command: Vec<String>,
    /// Receivers of events.
    pub webhooks: Vec<Webhook>,
}

impl Limits {
    /// # Errors
    /// A fatal failure when steps of this class can never start here.
    pub fn check(&self, class: &Class) -> Result<(), Failure> {
        self.pools.check(&class.demand)?;
        self.executors.of(class).map_or(Ok(()), |name| self.executors.check(name))?;
        class.rate_limit.as_ref().map_or(Ok(()), |name| self.check_rate(name))
    }

    /// # Errors
    /// A fatal failure when no rate limit has this name.
    pub fn check_rate(&self, name: &str) -> Result<(), Failure> {
        if self.rate_limits.contains_key(name) {
            return Ok(());
        }
        let known = suggest::meant(name, self.rate_limits.keys().map(String::as_str));
        let failure = Failure::fatal(format!("the step's rate limit `{name}` is not configured"));
        Err(failure.with_hint(format!(
            "{known}write `[rate_limits]` and below it a line such as `{name} = \"10/min\"` in stepwell.toml"
        )))
    }
}
