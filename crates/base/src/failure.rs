//! Failures of attempts and steps.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use super::error_chain::{causes, error_chain};
use super::json::TooMuch;
use super::text::excerpt::bounded;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// May succeed on a retry.
    Retryable,
    /// The disk is full: retried once there is space, without counting as a failure.
    NoSpace,
    /// A retry gives the same failure: bad input, bad parameters, diverged training.
    Fatal,
    Timeout,
    /// The worker disappeared or stopped sending heartbeats.
    LeaseLost,
    /// The step, with all its retries, took longer than `timeout.schedule_to_close`.
    ScheduleToClose,
    /// The kernel killed the attempt for lack of memory; it would do so again.
    OutOfMemory,
    Canceled,
}

impl FailureKind {
    pub fn as_str(self) -> &'static str {
        match self {
            FailureKind::Retryable => "retryable",
            FailureKind::NoSpace => "no_space",
            FailureKind::Fatal => "fatal",
            FailureKind::Timeout => "timeout",
            FailureKind::LeaseLost => "lease_lost",
            FailureKind::ScheduleToClose => "schedule_to_close",
            FailureKind::OutOfMemory => "out_of_memory",
            FailureKind::Canceled => "canceled",
        }
    }
}

/// The exit of a program that did not succeed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgramExit {
    Code(i32),
    Signal(i32),
}

impl ProgramExit {
    /// Maps both cases to one number as shells do: signal n is 128 + n.
    pub fn code(self) -> i32 {
        match self {
            ProgramExit::Code(code) => code,
            ProgramExit::Signal(signal) => 128_i32.saturating_add(signal),
        }
    }
}
pub const OUT_OF_MEMORY_HINT: &str = "let the step use less memory (a smaller batch, less at once), or give it more; \
    then `stepwell resume` tries it again";

/// A failed attempt, as shown to the user: message in lower case with its cause chain, and a hint. Its display is
/// bounded, because the message may quote program output.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    pub kind: FailureKind,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Exit of the program that the step ran, if that is why the step failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<ProgramExit>,
    /// Name of the rule that the step broke, for scripts, such as `quality_refused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Bytes that must be free on the disk before a retry makes sense, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed_bytes: Option<u64>,
}

impl Failure {
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Failure { kind, message: message.into(), hint: None, exit: None, code: None, needed_bytes: None }
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

    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    pub fn with_exit(mut self, exit: ProgramExit) -> Self {
        self.exit = Some(exit);
        self
    }

    /// Builds the failure of a system operation: retryable, or `NoSpace` for a full disk or an exhausted quota.
    pub fn io(what: impl fmt::Display, error: &io::Error) -> Self {
        let kind = if is_no_space(error) { FailureKind::NoSpace } else { FailureKind::Retryable };
        Failure::new(kind, format!("{what}: {error}"))
    }

    /// One line for lists: the first line, and after it the last, which usually says why a program failed.
    pub fn headline(&self) -> String {
        let mut lines = self.message.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        lines.next_back().map_or_else(|| first.to_owned(), |last| format!("{first} {last}"))
    }

    /// Builds a failure whose message is `error` followed by its sources, outermost first. A retryable
    /// failure becomes `NoSpace` if that is among the sources.
    pub fn from_error(kind: FailureKind, error: &dyn std::error::Error) -> Self {
        let full = causes(error).any(|cause| cause.downcast_ref().is_some_and(is_no_space));
        let kind = if full && kind == FailureKind::Retryable { FailureKind::NoSpace } else { kind };
        Failure::new(kind, error_chain(error))
    }
}

/// Builds the failure for arguments or values of a step that cannot be stored or read back.
pub fn too_much(what: &str, error: TooMuch) -> Failure {
    Failure::fatal(format!("{what} cannot be kept: {error}"))
        .with_hint("write what is large or deep into a file, and pass that on as an output")
}

pub fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(feature = "failpoints")]
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::io("failpoint", &error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bounded(&self.message))
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_and_a_used_up_quota_are_told_from_other_errors() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[from] io::Error);

        const ENOSPC: i32 = 28;
        const EDQUOT: i32 = 122;
        const EIO: i32 = 5;

        for (code, kind) in
            [(ENOSPC, FailureKind::NoSpace), (EDQUOT, FailureKind::NoSpace), (EIO, FailureKind::Retryable)]
        {
            let error = || io::Error::from_raw_os_error(code);
            assert_eq!(Failure::io("x", &error()).kind, kind);
            let nested = Outer(io::Error::new(error().kind(), Outer(error())));
            assert_eq!(Failure::from_error(FailureKind::Retryable, &nested).kind, kind);
            assert_eq!(Failure::from_error(FailureKind::Fatal, &nested).kind, FailureKind::Fatal);
        }
    }

    #[test]
    fn the_headline_is_one_line_with_the_end_of_a_traceback() {
        let headline = |message: &str| Failure::fatal(message).headline();
        assert_eq!(headline("no disk"), "no disk");
        let traceback = "the command exited with code 1; its last lines:\nTraceback:\n  File \"x\"\nValueError: 3\n";
        assert_eq!(headline(traceback), "the command exited with code 1; its last lines: ValueError: 3");
    }

    #[test]
    fn the_space_that_is_needed_survives_the_protocol() {
        let failure = Failure { needed_bytes: Some(7), ..Failure::new(FailureKind::NoSpace, "x") };
        let text = serde_json::to_string(&failure).unwrap();
        assert_eq!(text, r#"{"kind":"no_space","message":"x","needed_bytes":7}"#);
        assert_eq!(serde_json::from_str::<Failure>(&text).unwrap(), failure);
        assert_eq!(serde_json::to_string(&Failure::fatal("x")).unwrap(), r#"{"kind":"fatal","message":"x"}"#);
    }
}
