//! Decides which failed attempts are retried, and when.

use std::time::Duration;

use stepwell_base::failure::{Failure, FailureKind};
use stepwell_workflow::spec::RetryPolicy;

/// A step fails once this many attempts in a row were lost together with their engine, without a checkpoint
/// in between: it probably takes the engine or the machine down with it.
pub const MAXIMUM_LOSSES_IN_A_ROW: u32 = 20;

/// The answer to a failed attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    RetryAfter(Duration),
    GiveUp,
}

/// Decides about a step whose attempt has just failed, after `failures_before` counted failures.
pub fn verdict(policy: &RetryPolicy, failures_before: u32, failure: &Failure) -> Verdict {
    let may_help = match failure.kind {
        FailureKind::Fatal | FailureKind::OutOfMemory | FailureKind::Canceled | FailureKind::ScheduleToClose => false,
        FailureKind::Retryable | FailureKind::NoSpace | FailureKind::Timeout | FailureKind::LeaseLost => true,
    };
    let failures = failures_before.saturating_add(1);
    if may_help && failures < policy.maximum_attempts && !policy.rules_out(failure) {
        Verdict::RetryAfter(backoff(policy, failures))
    } else {
        Verdict::GiveUp
    }
}

/// Pause after the `failures`-th failure (from 1):
/// `initial_interval * backoff_coefficient^(failures-1)`, at most `maximum_interval`.
pub fn backoff(policy: &RetryPolicy, failures: u32) -> Duration {
    let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
    let seconds = policy.initial_interval.as_secs_f64() * policy.backoff_coefficient.powi(exponent);
    // Also false for NaN: the longest pause is then the safe choice.
    if seconds < policy.maximum_interval.as_secs_f64() {
        Duration::try_from_secs_f64(seconds).unwrap_or(policy.maximum_interval)
    } else {
        policy.maximum_interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwell_base::failure::ProgramExit;
    use stepwell_workflow::spec::NonRetryable;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            initial_interval: Duration::from_secs(1),
            backoff_coefficient: 2.0,
            maximum_interval: Duration::from_secs(5),
            maximum_attempts: 4,
            non_retryable: Vec::new(),
        }
    }

    #[test]
    fn pauses_double_up_to_the_maximum() {
        let seconds: Vec<u64> = (1..=5).map(|n| backoff(&policy(), n).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 5, 5]);
        assert_eq!(backoff(&policy(), u32::MAX), Duration::from_secs(5));
        let odd = RetryPolicy { backoff_coefficient: f64::NAN, ..policy() };
        assert_eq!(backoff(&odd, 3), Duration::from_secs(5));
    }

    #[test]
    fn the_last_attempt_is_not_followed_by_another() {
        let failure = Failure::retryable("x");
        assert_eq!(verdict(&policy(), 2, &failure), Verdict::RetryAfter(Duration::from_secs(4)));
        assert_eq!(verdict(&policy(), 3, &failure), Verdict::GiveUp);
        let once = RetryPolicy { maximum_attempts: 1, ..policy() };
        assert_eq!(verdict(&once, 0, &failure), Verdict::GiveUp);
    }

    #[test]
    fn only_some_failures_are_tried_again() {
        for (kind, again) in [
            (FailureKind::Retryable, true),
            (FailureKind::NoSpace, true),
            (FailureKind::Timeout, true),
            (FailureKind::LeaseLost, true),
            (FailureKind::Fatal, false),
            (FailureKind::ScheduleToClose, false),
            (FailureKind::OutOfMemory, false),
            (FailureKind::Canceled, false),
        ] {
            let verdict = verdict(&policy(), 0, &Failure::new(kind, "x"));
            assert_eq!(verdict != Verdict::GiveUp, again, "{kind:?}");
        }
    }

    #[test]
    fn a_policy_rules_out_kinds_and_exit_codes() {
        let rules =
            vec![NonRetryable::Kind(FailureKind::Timeout), NonRetryable::ExitCode(64), NonRetryable::ExitCode(139)];
        let policy = RetryPolicy { non_retryable: rules, ..policy() };
        let again = |failure: &Failure| verdict(&policy, 0, failure) != Verdict::GiveUp;
        let exit = |exit| Failure::retryable("x").with_exit(exit);
        assert!(!again(&Failure::new(FailureKind::Timeout, "x")));
        assert!(again(&Failure::new(FailureKind::LeaseLost, "x")));
        assert!(!again(&exit(ProgramExit::Code(64))));
        assert!(again(&exit(ProgramExit::Code(1))));
        assert!(!again(&exit(ProgramExit::Signal(11))), "128 + 11 is SIGSEGV");
        assert!(again(&exit(ProgramExit::Signal(9))));
    }
}
