//! Why an attempt or a step failed.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// May succeed when tried again.
    Retryable,
    /// Trying again gives the same failure: bad input, bad parameters, diverged training.
    Fatal,
    Timeout,
    /// The worker disappeared or stopped sending heartbeats.
    LeaseLost,
    /// The step, with all its retries, took longer than `timeout.schedule_to_close`.
    ScheduleToClose,
    Canceled,
}

impl FailureKind {
    pub fn as_str(self) -> &'static str {
        match self {
            FailureKind::Retryable => "retryable",
            FailureKind::Fatal => "fatal",
            FailureKind::Timeout => "timeout",
            FailureKind::LeaseLost => "lease_lost",
            FailureKind::ScheduleToClose => "schedule_to_close",
            FailureKind::Canceled => "canceled",
        }
    }
}

/// How a program ended that did not succeed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgramExit {
    Code(i32),
    Signal(i32),
}

impl ProgramExit {
    /// One number for both, as shells have it: signal n is 128 + n.
    pub fn code(self) -> i32 {
        match self {
            ProgramExit::Code(code) => code,
            ProgramExit::Signal(signal) => 128_i32.saturating_add(signal),
        }
    }
}

/// A failed attempt, as shown to the user: message in lower case with its cause chain, and a hint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    pub kind: FailureKind,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Of a step that runs a program, when that is why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<ProgramExit>,
}

impl Failure {
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Failure { kind, message: message.into(), hint: None, exit: None }
    }

    pub fn fatal(message: impl Into<String>) -> Self {
        Failure::new(FailureKind::Fatal, message)
    }

    pub fn retryable(message: impl Into<String>) -> Self {
        Failure::new(FailureKind::Retryable, message)
    }

    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn with_exit(mut self, exit: ProgramExit) -> Self {
        self.exit = Some(exit);
        self
    }

    /// A failure whose message is `error` followed by its sources, outermost first.
    pub fn from_error(kind: FailureKind, error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Failure::new(kind, message)
    }
}

/// The error of a failpoint.
#[cfg(feature = "failpoints")]
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::from_error(FailureKind::Retryable, &error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
