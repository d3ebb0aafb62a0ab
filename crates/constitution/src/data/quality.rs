//! Quality control of generated rows. A gate that does not pass ends the run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::record::Record;
use crate::file::QualityRules;
use crate::judge::Critique;
use crate::stop::{Code, Stop};

/// Summary of quality control: counts, rates, and what failed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    pub schema: u32,
    pub counts: BTreeMap<String, u64>,
    pub acceptance: BTreeMap<String, f64>,
    /// Tokens of first answers.
    pub token_stats: BTreeMap<String, f64>,
    /// Margins of the critics.
    pub margins: BTreeMap<String, f64>,
    pub thresholds: QualityRules,
    pub thresholds_passed: bool,
    pub failed_reasons: Vec<String>,
}

/// Figures and verdict of quality control, and the rows that may be learned.
#[derive(Clone, PartialEq, Debug)]
pub struct Quality {
    pub summary: Summary,
    /// Places of the accepted records.
    pub accepted: Vec<usize>,
}

/// Judges all records.
///
/// # Errors
/// `InvalidRecord` if a record lacks a part, such as a critique.
pub fn judge(records: &[Record], rules: &QualityRules) -> Result<Quality, Stop> {
    let (mut tokens, mut instruction, mut pair, mut accepted) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut runaway, mut cut_off, mut leaks, mut empty) = (0, 0, 0, 0);
    for (place, record) in records.iter().enumerate() {
        let lacks = |part: &str| {
            let message = format!("the record `{}` has no {part}", record.id);
            Stop::new(
                Code::InvalidRecord,
                message,
                "run `constitution.respond` and both critiques before quality control",
            )
        };
        let flags = record.flags.ok_or_else(|| lacks("answer"))?;
        runaway += u64::from(flags.runaway);
        cut_off += u64::from(flags.token_limit);
        leaks += u64::from(flags.leak);
        empty += u64::from(flags.empty);
        let responded = record.metadata.steps.iter().find(|step| step.step == "constitution.respond");
        tokens.push(responded.ok_or_else(|| lacks("provenance of its answer"))?.completion_tokens as f64);
        let of_instruction =
            record.instruction_critique.as_ref().ok_or_else(|| lacks("critique of its instruction"))?;
        let of_pair = record.pair_critique.as_ref().ok_or_else(|| lacks("critique of its answer"))?;
        if of_instruction.is_good && of_pair.is_good && flags.is_clean() {
            accepted.push(place);
        }
        instruction.push(of_instruction);
        pair.push(of_pair);
    }
    let rows = records.len() as u64;
    let share = |count: u64| if rows == 0 { 0.0 } else { count as f64 / rows as f64 };
    let acceptance =
        |critiques: &[&Critique]| share(critiques.iter().filter(|critique| critique.is_good).count() as u64);
    let (of_instruction, of_pair) = (acceptance(&instruction), acceptance(&pair));
    let median_tokens = median(&mut tokens);
    let mut failed = Vec::new();
    let mut rule = |passes: bool, reason: String| {
        if !passes {
            failed.push(reason);
        }
    };
    rule(rows >= rules.min_rows, format!("{rows} rows, at least {} are needed", rules.min_rows));
    let percent = |rate: f64| format!("{:.1} %", rate * 100.0);
    for (name, count, limit) in
        [("repeat themselves", runaway, rules.runaway), ("were cut off", cut_off, rules.token_limit)]
    {
        let message =
            format!("{} of the answers {name}, it must be less than {}", percent(share(count)), percent(limit));
        rule(share(count) < limit, message);
    }
    rule(
        leaks <= rules.leaks,
        format!("{leaks} answers have a delimiter or a special token, at most {} may", rules.leaks),
    );
    let message = format!("the median answer has {median_tokens} tokens, it must be less than {}", rules.median_tokens);
    rule(median_tokens < rules.median_tokens, message);
    for (name, rate, limit) in
        [("instructions", of_instruction, rules.instruction_acceptance), ("answers", of_pair, rules.pair_acceptance)]
    {
        let message = format!("{} of the {name} are accepted, at least {} must be", percent(rate), percent(limit));
        rule(rate >= limit, message);
    }
    rule(!accepted.is_empty(), "no row is accepted".to_owned());
    let named = |pairs: &[(&str, u64)]| pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    let rates = |pairs: &[(&str, f64)]| pairs.iter().map(|(name, rate)| ((*name).to_owned(), *rate)).collect();
    let margin =
        |critiques: &[&Critique]| median(&mut critiques.iter().map(|critique| critique.margin).collect::<Vec<_>>());
    let summary = Summary {
        schema: 1,
        counts: named(&[
            ("rows", rows),
            ("accepted", accepted.len() as u64),
            ("runaway", runaway),
            ("token_limit", cut_off),
            ("leaks", leaks),
            ("empty", empty),
        ]),
        acceptance: rates(&[
            ("instruction", of_instruction),
            ("pair", of_pair),
            ("both", share(accepted.len() as u64)),
        ]),
        token_stats: rates(&[
            ("median", median_tokens),
            ("mean", tokens.iter().sum::<f64>() / (tokens.len().max(1)) as f64),
            ("max", tokens.last().copied().unwrap_or(0.0)),
        ]),
        margins: rates(&[("instruction_median", margin(&instruction)), ("pair_median", margin(&pair))]),
        thresholds: rules.clone(),
        thresholds_passed: failed.is_empty(),
        failed_reasons: failed,
    };
    Ok(Quality { summary, accepted })
}

impl Summary {
    /// # Errors
    /// `QualityRefused` with every reason.
    pub fn verdict(&self) -> Result<(), Stop> {
        if self.thresholds_passed {
            return Ok(());
        }
        Err(Stop::new(
            Code::QualityRefused,
            format!("quality control refuses the data: {}", self.failed_reasons.join("; ")),
            "change seeds, prompts or sampling of the constitution; nothing is trained on data that failed",
        ))
    }
}

/// Sorts the numbers.
fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    match numbers.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => numbers[odd / 2],
        even => f64::midpoint(numbers[even / 2 - 1], numbers[even / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::trim::Flags;
    use super::*;
    use crate::tests::record;

    fn failed(change: impl Fn(usize, &mut Record)) -> Vec<String> {
        let mut records: Vec<Record> = (0..40).map(record).collect();
        records.iter_mut().enumerate().for_each(|(index, record)| change(index, record));
        let found = judge(&records, &QualityRules::default()).unwrap().summary;
        assert_eq!(found.verdict().is_ok(), found.failed_reasons.is_empty());
        found.failed_reasons
    }

    #[test]
    fn good_rows_pass_and_each_planted_fault_is_a_reason() {
        assert_eq!(failed(|_, _| {}), [""; 0]);
        let flag = |count: usize, flags: Flags| {
            failed(move |index, record| record.flags = if index < count { Some(flags) } else { record.flags })
        };
        // 5 % of 40 rows are 2, 10 % are 4; both limits are exclusive.
        assert!(flag(1, Flags { runaway: true, ..Flags::default() }).is_empty());
        assert!(flag(2, Flags { runaway: true, ..Flags::default() })[0].contains("repeat"));
        assert!(flag(3, Flags { token_limit: true, ..Flags::default() }).is_empty());
        assert!(flag(4, Flags { token_limit: true, ..Flags::default() })[0].contains("cut off"));
        assert!(flag(1, Flags { leak: true, ..Flags::default() })[0].contains("delimiter"));
        let long = failed(|_, record| record.metadata.steps[0].completion_tokens = 40);
        assert!(long[0].contains("median"), "{long:?}");
        let bad = failed(|index, record| record.pair_critique.as_mut().unwrap().is_good = index < 19);
        assert!(bad[0].contains("47.5 % of the answers"), "{bad:?}");
        assert!(failed(|index, record| record.pair_critique.as_mut().unwrap().is_good = index < 20).is_empty());
        let bad = failed(|index, record| record.instruction_critique.as_mut().unwrap().is_good = index < 19);
        assert!(bad[0].contains("of the instructions"), "{bad:?}");
        let few = judge(&[record(0)], &QualityRules::default()).unwrap().summary.verdict().unwrap_err();
        assert_eq!(few.code, Code::QualityRefused);
    }

    #[test]
    fn a_record_without_a_critique_is_no_data() {
        let mut bare = record(0);
        bare.pair_critique = None;
        assert_eq!(judge(&[bare], &QualityRules::default()).unwrap_err().code, Code::InvalidRecord);
    }

    #[test]
    fn long_answers_are_no_faults() {
        let words: Vec<String> = (0..60).map(|n| format!("word{n}")).collect();
        let long = failed(|index, record| {
            if index % 3 == 0 {
                record.response = Some(words.join(" "))
            }
        });
        assert!(long.is_empty());
    }
}
