//! `retry` and `timeout` of a step.

use std::time::Duration;

use crate::diagnostic::Problems;
use crate::document::{Data, Node, Table};
use crate::spec::{NonRetryable, RetryPolicy, Timeouts};
use stepwell_base::duration;
use stepwell_base::failure::FailureKind;

const RETRY_KEYS: [&str; 5] =
    ["initial_interval", "backoff_coefficient", "maximum_interval", "maximum_attempts", "non_retryable"];
const TIMEOUT_KEYS: [&str; 3] = ["start_to_close", "schedule_to_close", "heartbeat"];

pub(super) fn retry(node: &Node, problems: &mut Problems) -> RetryPolicy {
    let mut policy = RetryPolicy::default();
    if let Data::Number(_) = &node.data {
        policy.maximum_attempts = attempts("retry", node, problems).unwrap_or(policy.maximum_attempts);
        return policy;
    }
    let example = "retry = 3, or retry = { maximum_attempts = 3, initial_interval = \"10s\" }";
    let Some(table) = node.table("retry", example, problems) else { return policy };
    table.only(&RETRY_KEYS, " in `retry`", problems);
    if let Some(interval) = read_duration(table, "initial_interval", problems) {
        policy.initial_interval = interval;
        // A first wait longer than the default maximum raises the maximum instead of being capped.
        policy.maximum_interval = policy.maximum_interval.max(interval);
    }
    if let Some(interval) = read_duration(table, "maximum_interval", problems) {
        policy.maximum_interval = interval;
        if interval < policy.initial_interval
            && let Some(node) = table.get("maximum_interval")
        {
            problems.at(&node.span, "`maximum_interval` is shorter than `initial_interval`").hint("swap the two");
        }
    }
    if let Some(node) = table.get("backoff_coefficient") {
        match number(node).filter(|coefficient| *coefficient >= 1.0) {
            Some(coefficient) => policy.backoff_coefficient = coefficient,
            None => {
                problems
                    .at(&node.span, "`backoff_coefficient` must be a number of at least 1")
                    .hint("2.0 doubles the wait");
            }
        }
    }
    if let Some(node) = table.get("maximum_attempts") {
        policy.maximum_attempts = attempts("maximum_attempts", node, problems).unwrap_or(policy.maximum_attempts);
    }
    if let Some(node) = table.get("non_retryable") {
        let rules = node.list("non_retryable", "non_retryable = [\"timeout\", 64]", problems).unwrap_or_default();
        policy.non_retryable = rules.iter().filter_map(|rule| non_retryable(rule, problems)).collect();
    }
    policy
}

fn attempts(key: &str, node: &Node, problems: &mut Problems) -> Option<u32> {
    let attempts = node.to_json().as_u64().and_then(|attempts| u32::try_from(attempts).ok());
    let attempts = attempts.filter(|attempts| *attempts >= 1);
    if attempts.is_none() {
        problems
            .at(&node.span, format!("`{key}` must be an integer of at least 1"))
            .hint("it counts the first attempt: 1 means no retry");
    }
    attempts
}

/// Reads text as a kind of failure, and a number as the exit code of a program.
fn non_retryable(node: &Node, problems: &mut Problems) -> Option<NonRetryable> {
    let value = node.to_json();
    let code = value.as_i64().filter(|code| (1..=255).contains(code)).and_then(|code| i32::try_from(code).ok());
    match (&node.data, code) {
        (Data::Text(name), _) => match serde_json::from_value::<FailureKind>(value.clone()) {
            Ok(kind) => return Some(NonRetryable::Kind(kind)),
            Err(known) => {
                problems.at(&node.span, format!("unknown kind of failure `{name}`")).hint(known.to_string());
            }
        },
        (_, Some(code)) => return Some(NonRetryable::ExitCode(code)),
        (_, None) => {
            problems
                .at(&node.span, "`non_retryable` lists kinds of failure and exit codes")
                .hint("such as [\"timeout\", 64]; 128 + n stands for signal n");
        }
    }
    None
}

pub(super) fn timeout(node: &Node, problems: &mut Problems) -> Timeouts {
    let mut timeouts = Timeouts::default();
    if matches!(node.data, Data::Text(_) | Data::Number(_)) {
        timeouts.start_to_close = positive_duration("timeout", node, problems);
        return timeouts;
    }
    let example = "timeout = \"30m\", or timeout = { start_to_close = \"30m\" }";
    let Some(table) = node.table("timeout", example, problems) else { return timeouts };
    table.only(&TIMEOUT_KEYS, " in `timeout`", problems);
    timeouts.start_to_close = positive(table, "start_to_close", problems);
    timeouts.schedule_to_close = positive(table, "schedule_to_close", problems);
    timeouts.heartbeat = positive(table, "heartbeat", problems).unwrap_or(timeouts.heartbeat);
    timeouts
}

pub(super) fn positive(table: &Table, key: &str, problems: &mut Problems) -> Option<Duration> {
    positive_duration(key, table.get(key)?, problems)
}

fn positive_duration(key: &str, node: &Node, problems: &mut Problems) -> Option<Duration> {
    let duration = duration_of(key, node, problems)?;
    if duration.is_zero() {
        problems.at(&node.span, format!("`{key}` must be longer than 0")).hint("leave the key out for the default");
        return None;
    }
    Some(duration)
}

fn read_duration(table: &Table, key: &str, problems: &mut Problems) -> Option<Duration> {
    duration_of(key, table.get(key)?, problems)
}

fn duration_of(key: &str, node: &Node, problems: &mut Problems) -> Option<Duration> {
    let duration = match &node.data {
        Data::Text(text) => duration::parse(text),
        _ => number(node).and_then(duration::from_seconds),
    };
    if duration.is_none() {
        problems
            .at(&node.span, format!("`{key}` is not a duration"))
            .hint("write \"500ms\", \"30s\", \"5m\", \"1h30m\", or a number of seconds");
    }
    duration
}

fn number(node: &Node) -> Option<f64> {
    node.to_json().as_f64()
}
