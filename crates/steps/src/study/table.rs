//! The report of a study as text.

use super::compare::{Arm, Difference};
use super::report::Better;
use stepwell_base::visible::visible_line;
use stepwell_statistics::Confidence;

pub(super) fn table(title: &str, value: &str, better: Better, confidence: Confidence, arms: &[Arm]) -> String {
    let title = if title.is_empty() { "Study" } else { title };
    let (word, percent) = (word(better), 100.0 * confidence.share());
    let mut text = format!(
        "# {}\n\n`{}`, {word} is better. Brackets are {percent} % intervals over seeds (Student's t); differences from the first arm \
         are taken seed by seed, and p is adjusted for the number of arms.\n\n\
         | arm | seeds | mean | deviation | difference | p | |\n|---|---|---|---|---|---|---|\n",
        cell(title),
        cell(value)
    );
    for arm in arms {
        let of =
            |difference: &Difference| format!("{:+.4}{}", difference.mean, interval(difference.low, difference.high));
        let difference = arm.difference.as_ref();
        text.push_str(&format!(
            "| {} | {} | {:.4}{} | {} | {} | {} | {} |\n",
            cell(&arm.name),
            arm.seeds,
            arm.mean,
            interval(arm.low, arm.high),
            arm.deviation.map(|deviation| format!("{deviation:.4}")).unwrap_or_default(),
            difference.map(of).unwrap_or_default(),
            difference.and_then(|difference| difference.p_adjusted).map(probability).unwrap_or_default(),
            difference.map(|difference| verdict(difference, better, confidence)).unwrap_or_default(),
        ));
    }
    text
}

fn word(better: Better) -> &'static str {
    match better {
        Better::Lower => "lower",
        Better::Higher => "higher",
    }
}

/// What the study shows about an arm, in words.
fn verdict(difference: &Difference, better: Better, confidence: Confidence) -> &'static str {
    let is_shown = difference.p_adjusted.is_some_and(|p| p < 1.0 - confidence.share());
    match (is_shown, (difference.mean < 0.0) == (better == Better::Lower)) {
        (false, _) => "no difference shown",
        (true, true) => "better",
        (true, false) => "worse",
    }
}

fn interval(low: Option<f64>, high: Option<f64>) -> String {
    low.zip(high).map(|(low, high)| format!(" [{low:.4}, {high:.4}]")).unwrap_or_default()
}

fn probability(p: f64) -> String {
    if p < 0.0001 { "< 0.0001".to_owned() } else { format!("{p:.4}") }
}

/// Text from outside within a row of a table.
fn cell(text: &str) -> String {
    visible_line(text).replace('|', "\\|")
}
