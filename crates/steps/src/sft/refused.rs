//! Rows that are no examples: how many for which reason, and which.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use stepwell_base::failure::Failure;

/// Lines that are named for each reason.
const NAMED: usize = 5;
/// Reasons that are told apart. Messages of a template may be different in each row.
const MOST_REASONS: usize = 50;
/// Rows that a failure names.
const MOST_IN_FAILURE: usize = 10;

/// The refused rows so far.
#[derive(Debug, Default)]
pub struct RefusedRows {
    count: u64,
    reasons: BTreeMap<String, (u64, Vec<u64>)>,
}

impl RefusedRows {
    /// `line` counts from 1.
    pub fn add(&mut self, line: u64, reason: &str) {
        self.count += 1;
        let is_new = !self.reasons.contains_key(reason);
        let reason = if is_new && self.reasons.len() >= MOST_REASONS { "other reasons" } else { reason };
        let (count, lines) = self.reasons.entry(reason.to_owned()).or_default();
        *count += 1;
        if lines.len() < NAMED {
            lines.push(line);
        }
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn value(&self) -> Value {
        let reasons = self
            .reasons
            .iter()
            .map(|(reason, (count, lines))| json!({ "reason": reason, "rows": count, "lines": lines }));
        reasons.collect()
    }

    /// One line per reason.
    pub fn lines(&self) -> Vec<String> {
        let line = |(reason, (count, lines)): (&String, &(u64, Vec<u64>))| {
            let lines: Vec<String> = lines.iter().map(u64::to_string).collect();
            format!("{count} refused ({}): {reason}", lines.join(", "))
        };
        self.reasons.iter().map(line).collect()
    }

    /// The failure that names them.
    pub fn failure(&self, file: &str, rows: u64) -> Failure {
        let lines = self.reasons.iter().flat_map(|(reason, (_, lines))| lines.iter().map(move |line| (line, reason)));
        let mut lines: Vec<_> = lines.collect();
        lines.sort();
        let more = self.count as usize - lines.len().min(MOST_IN_FAILURE);
        let named: Vec<String> =
            lines.iter().take(MOST_IN_FAILURE).map(|(line, reason)| format!("line {line}: {reason}")).collect();
        let more = if more == 0 { String::new() } else { format!("; and {more} more") };
        Failure::fatal(format!("{} of {rows} rows of {file} cannot be learned: {}{more}", self.count, named.join("; ")))
            .with_hint("mend them, or set `on_bad_row = \"skip\"` to leave them out and count them")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_and_the_first_lines_named() {
        let mut rows = RefusedRows::default();
        (1..=20).for_each(|line| rows.add(line, if line % 2 == 0 { "even" } else { "odd" }));
        assert_eq!(rows.value()[0], json!({ "reason": "even", "rows": 10, "lines": [2, 4, 6, 8, 10] }));
        let failure = rows.failure("a.jsonl", 30);
        assert!(failure.message.starts_with("20 of 30 rows of a.jsonl"), "{failure}");
        assert!(failure.message.contains("line 1: odd; line 2: even") && failure.message.ends_with("; and 10 more"));
        (0..1000).for_each(|line| rows.add(line, &format!("reason {line}")));
        assert!(rows.value().as_array().unwrap().len() <= MOST_REASONS + 1);
    }
}
