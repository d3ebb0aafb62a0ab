//! The settings of the program and their possible values.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::remote::RemoteAccount;
use stepwell_base::amount;
use stepwell_run::retention::KeepBest;
use stepwell_workflow::executor::Executors;
use stepwell_workflow::limits::Limits;
use stepwell_workflow::pools::Pools;
use stepwell_workflow::rate_limit::RateLimit;
use stepwell_workflow::webhook::Webhook;

/// Settings after precedence: flag, `STEPWELL_*`, `stepwell.toml`, user configuration, default.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Directory of runs, artifacts and the database.
    pub state_dir: Setting<PathBuf>,
    /// Directory of exported models.
    pub export_dir: Setting<PathBuf>,
    /// Format of standard output.
    pub output: Setting<OutputFormat>,
    /// Compute device of training: `auto`, or a name that `doctor` lists.
    pub device: Setting<String>,
    /// Maximum number of step attempts that run at the same time.
    pub slots: Setting<usize>,
    /// Engine deaths in a row, without progress, that lead to safe mode; 0 turns it off.
    pub crash_loop_limit: Setting<u64>,
    /// Maximum bytes that the log of an attempt keeps; 0 means no limit.
    pub log_limit: Setting<u64>,
    /// Engines write event files for TensorBoard.
    pub tensorboard: Setting<Switch>,
    pub color: Setting<ColorChoice>,
    /// Number of ended runs of each workflow that `gc` keeps; `None` keeps all.
    pub keep_runs: Setting<Option<u64>>,
    /// Days for which `gc` keeps ended runs; `None` keeps them for ever.
    pub keep_days: Setting<Option<u64>>,
    /// Best runs of each workflow that `gc` keeps.
    pub keep_best: Setting<Option<KeepBest>>,
    /// Pools that steps share, by name; only from files.
    pub pools: Setting<Pools>,
    pub rate_limits: Setting<BTreeMap<String, RateLimit>>,
    /// Systems that run attempts, and the pools that belong to them.
    pub executors: Setting<Executors>,
    /// Program and arguments to start once per alert; empty for none.
    pub alert_command: Setting<Vec<String>>,
    /// Program and arguments to start once per ended run; empty for none.
    pub notify_command: Setting<Vec<String>>,
    /// Receivers of events.
    pub webhooks: Setting<Vec<Webhook>>,
    /// Accounts with those who rent machines out.
    pub remotes: Setting<Vec<RemoteAccount>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting<T> {
    pub value: T,
    pub origin: Origin,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    Flag,
    Env(&'static str),
    /// `stepwell.toml` of the working directory.
    Project(PathBuf),
    User(PathBuf),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag => f.write_str("flag"),
            Origin::Env(name) => write!(f, "environment {name}"),
            Origin::Project(path) => write!(f, "project file {}", path.display()),
            Origin::User(path) => write!(f, "user file {}", path.display()),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// Settings of one source; the next source fills each `None`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Partial {
    pub state_dir: Option<PathBuf>,
    pub export_dir: Option<PathBuf>,
    pub output: Option<OutputFormat>,
    pub device: Option<String>,
    pub slots: Option<usize>,
    pub crash_loop_limit: Option<u64>,
    pub log_limit: Option<u64>,
    pub tensorboard: Option<Switch>,
    pub color: Option<ColorChoice>,
    pub keep_runs: Option<u64>,
    pub keep_days: Option<u64>,
    pub keep_best: Option<KeepBest>,
    pub pools: Option<Pools>,
    pub rate_limits: Option<BTreeMap<String, RateLimit>>,
    pub executors: Option<Executors>,
    pub alert_command: Option<Vec<String>>,
    pub notify_command: Option<Vec<String>>,
    pub webhooks: Option<Vec<Webhook>>,
    pub remotes: Option<Vec<RemoteAccount>>,
}

/// One line of `config show`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    pub name: &'static str,
    pub value: String,
    pub origin: Origin,
}

impl Settings {
    /// All settings in a fixed order.
    pub fn rows(&self) -> Vec<Shown> {
        let limit = |limit: Option<u64>| limit.map_or_else(|| "all".to_owned(), |limit| limit.to_string());
        let row = |name, value: String, origin: &Origin| Shown { name, value, origin: origin.clone() };
        vec![
            row("state_dir", self.state_dir.value.display().to_string(), &self.state_dir.origin),
            row("export_dir", self.export_dir.value.display().to_string(), &self.export_dir.origin),
            row("output", self.output.value.to_string(), &self.output.origin),
            row("device", self.device.value.clone(), &self.device.origin),
            row("slots", self.slots.value.to_string(), &self.slots.origin),
            row("crash_loop_limit", self.crash_loop_limit.value.to_string(), &self.crash_loop_limit.origin),
            row("log_limit", amount::show(self.log_limit.value), &self.log_limit.origin),
            row("tensorboard", self.tensorboard.value.to_string(), &self.tensorboard.origin),
            row("color", self.color.value.to_string(), &self.color.origin),
            row("retention.keep_runs", limit(self.keep_runs.value), &self.keep_runs.origin),
            row("retention.keep_days", limit(self.keep_days.value), &self.keep_days.origin),
            row("retention.keep_best", self.describe_keep_best(), &self.keep_best.origin),
            row("pools", self.describe_pools(), &self.pools.origin),
            row("rate_limits", self.describe_rate_limits(), &self.rate_limits.origin),
            row("executors", self.describe_executors(), &self.executors.origin),
            row("alerts.command", self.alert_command.value.join(" "), &self.alert_command.origin),
            row("notify.command", self.notify_command.value.join(" "), &self.notify_command.origin),
            row("webhook", self.describe_webhooks(), &self.webhooks.origin),
            row("remote", self.describe_remotes(), &self.remotes.origin),
        ]
    }

    /// Returns the limits that the engine enforces.
    pub fn limits(&self) -> Limits {
        Limits {
            pools: self.pools.value.clone(),
            rate_limits: self.rate_limits.value.clone(),
            executors: self.executors.value.clone(),
            alert_command: self.alert_command.value.clone(),
            notify_command: self.notify_command.value.clone(),
            webhooks: self.webhooks.value.clone(),
        }
    }

    /// The names only: an address may be a secret.
    fn describe_webhooks(&self) -> String {
        self.webhooks.value.iter().map(|webhook| webhook.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn describe_remotes(&self) -> String {
        let accounts = self.remotes.value.iter().map(|account| format!("{} ({})", account.name, account.kind.as_str()));
        accounts.collect::<Vec<_>>().join(", ")
    }

    fn describe_keep_best(&self) -> String {
        let rule = |KeepBest { count, by, goal }: &KeepBest| format!("{count} by {by}, {}", goal.as_str());
        self.keep_best.value.as_ref().map(rule).unwrap_or_default()
    }

    pub fn describe_pools(&self) -> String {
        let pools = self.pools.value.0.iter().map(|(name, pool)| format!("{name} = {}", pool.describe()));
        pools.collect::<Vec<_>>().join(", ")
    }

    fn describe_executors(&self) -> String {
        let executors = self.executors.value.by_name.iter();
        let shown = executors
            .map(|(name, executor)| format!("{name} ({}, {} slots)", executor.system.as_str(), executor.slots));
        shown.collect::<Vec<_>>().join(", ")
    }

    pub fn describe_rate_limits(&self) -> String {
        let limits = self.rate_limits.value.iter().map(|(name, limit)| format!("{name} = {limit}"));
        limits.collect::<Vec<_>>().join(", ")
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutputFormat {
    Human,
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ColorChoice {
    /// Colours if standard error is a terminal that has them.
    Auto,
    Always,
    Never,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Switch {
    On,
    Off,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be {expected}, not `{given}`")]
pub struct InvalidValue {
    pub expected: &'static str,
    pub given: String,
}

impl OutputFormat {
    pub const NAMES: [&'static str; 2] = ["human", "json"];
}

impl FromStr for OutputFormat {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "human" => Ok(OutputFormat::Human),
            "json" => Ok(OutputFormat::Json),
            _ => Err(InvalidValue { expected: "`human` or `json`", given: text.to_owned() }),
        }
    }
}

impl fmt::Display for OutputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OutputFormat::Human => "human",
            OutputFormat::Json => "json",
        })
    }
}

impl ColorChoice {
    pub const NAMES: [&'static str; 3] = ["auto", "always", "never"];
}

impl FromStr for ColorChoice {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "auto" => Ok(ColorChoice::Auto),
            "always" => Ok(ColorChoice::Always),
            "never" => Ok(ColorChoice::Never),
            _ => Err(InvalidValue { expected: "`auto`, `always` or `never`", given: text.to_owned() }),
        }
    }
}

impl fmt::Display for ColorChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ColorChoice::Auto => "auto",
            ColorChoice::Always => "always",
            ColorChoice::Never => "never",
        })
    }
}

impl Switch {
    pub const NAMES: [&'static str; 2] = ["on", "off"];
}

impl FromStr for Switch {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "on" => Ok(Switch::On),
            "off" => Ok(Switch::Off),
            _ => Err(InvalidValue { expected: "`on` or `off`", given: text.to_owned() }),
        }
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Switch::On => "on",
            Switch::Off => "off",
        })
    }
}
