//! Errors of shells on machines, and of moving a machine along.

use std::io;
use std::path::PathBuf;

use crate::keeper::JournalError;
use crate::machine::IllegalEvent;
use crate::money::Price;
use crate::plan::Key;
use crate::provider_error::ProviderError;

/// A command on a machine that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    #[error("`{key}` shows another host key than before: this may be another machine")]
    HostKeyChanged { key: String, known_hosts: PathBuf },
    #[error("cannot reach the machine: {0}")]
    Unreachable(String),
    #[error("the machine's shell ended with {code}: {message}")]
    Failed { code: i32, message: String },
    #[error("the machine sent {0}")]
    Nonsense(String),
    #[error("nothing came from the machine for {0} s")]
    Silent(u64),
    #[error("cannot {action} `{}`", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot start `{program}`")]
    Program { program: &'static str, source: io::Error },
}

impl ShellError {
    pub fn hint(&self) -> Option<String> {
        match self {
            ShellError::HostKeyChanged { key, known_hosts } => Some(format!(
                "if the provider has really replaced the machine, remove the line of `{key}` from `{}`",
                known_hosts.display()
            )),
            ShellError::Unreachable(_) => Some(
                "`stepwell remote status` asks the provider; the SSH key must be one that the machine knows".to_owned(),
            ),
            _ => None,
        }
    }
}

/// A machine could not be moved along.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    #[error("the plan `{digest}` expired at {at}")]
    Expired { digest: String, at: jiff::Timestamp },
    #[error("nobody has proposed to {action} `{key}` under the digest `{digest}`, or it has changed since")]
    NotProposed { key: Key, action: &'static str, digest: String },
    #[error("the price has changed from {planned} to {now} since the plan was made")]
    PriceChanged { planned: Price, now: Price },
    #[error("the provider could not be asked")]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Shell(#[from] ShellError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("`{key}` cannot do that now")]
    Illegal { key: Key, source: IllegalEvent },
    #[error("another process works on `{0}`")]
    Busy(Key),
    #[error("cannot lock `{}`", path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("it is not known whether an instance `{key}` was created, because the provider cannot be asked: {why}")]
    Undecided { key: Key, why: String },
    #[error("`{key}` was not created: the provider said `{why}` and lists no instance of this name")]
    NotCreated { key: Key, why: String },
    #[error("`{key}` is not running after {seconds} s")]
    NotRunning { key: Key, seconds: u64 },
    #[error("`{key}` still exists after {times} requests to terminate it, and is billed")]
    StillThere { key: Key, times: u32 },
    #[error("`{command}` failed in the preflight: {why}")]
    Preflight { command: String, why: String },
}

impl RemoteError {
    pub fn hint(&self) -> Option<String> {
        match self {
            RemoteError::Expired { .. } => Some("run the command without `--confirm` to get a new one".to_owned()),
            RemoteError::PriceChanged { .. } => Some("make a new plan with `stepwell remote plan`".to_owned()),
            RemoteError::NotProposed { .. } => {
                Some("the same command without `--confirm` shows what would be done, and its digest".to_owned())
            }
            RemoteError::Provider(error) => error.hint(),
            RemoteError::Shell(error) => error.hint(),
            RemoteError::Undecided { key, .. } => {
                Some(format!("`stepwell remote status {key}` asks again; nothing is launched a second time"))
            }
            RemoteError::NotCreated { .. } => {
                Some("`stepwell remote audit` would show one that appears late; then make a new plan".to_owned())
            }
            RemoteError::NotRunning { key, .. } => {
                Some(format!("it may be billed: `stepwell remote status {key}`, or `stepwell remote terminate {key}`"))
            }
            RemoteError::StillThere { key, .. } => Some(format!(
                "look at the provider's own page; `stepwell remote terminate {key}` asks again without a new confirmation"
            )),
            RemoteError::Preflight { .. } => {
                Some("nothing was launched; repair it, or say `--skip-preflight`".to_owned())
            }
            RemoteError::Busy(_) => Some("wait for it, or stop it".to_owned()),
            _ => None,
        }
    }
}
