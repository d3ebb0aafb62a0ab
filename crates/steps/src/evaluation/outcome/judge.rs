//! Asks a model the questions of a task, and judges its answers.

use std::collections::BTreeMap;

use super::record::{Record, score};
use super::tally::Tally;
use crate::evaluation::scoring::{Prompt, Scorer, Sequence, alone, continuation};
use crate::evaluation::tasks::{BadLines, From, Item, Question, Task};
use crate::handler::{StepContext, StepError};
use stepwell_base::failure::Failure;

/// Most characters of an answer that a record keeps.
const SHORT: usize = 200;

/// An item as the model sees it.
enum Asked {
    Scored(Vec<Sequence>),
    Answered(Prompt),
}

/// Checks that the model can see every item of a task.
///
/// # Errors
/// Names the lines that it cannot.
pub fn check(task: &Task, scorer: &impl Scorer) -> Result<(), Failure> {
    let mut bad = BadLines::of(task.name());
    for item in &task.items {
        if let Err(why) = ask(task, item, scorer) {
            bad.add(item.number, &why);
        }
    }
    bad.refuse()
}

/// Judges items of a task together, in their order.
///
/// # Errors
/// Those of the model, and an item that [`check`] would have named.
pub fn judge(
    context: &StepContext<'_>,
    task: &Task,
    items: &[Item],
    scorer: &mut impl Scorer,
) -> Result<Vec<Record>, StepError> {
    let (mut sequences, mut prompts) = (Vec::new(), Vec::new());
    for item in items {
        let asked = ask(task, item, scorer)
            .map_err(|why| Failure::fatal(format!("task `{}`, line {}: {why}", task.name(), item.number)))?;
        match asked {
            Asked::Scored(scored) => sequences.extend(scored),
            Asked::Answered(prompt) => prompts.push(prompt),
        }
    }
    let mut nats = scorer.score(context, sequences)?.into_iter();
    let mut answers = scorer.answer(context, prompts)?.into_iter();
    Ok(items.iter().map(|item| record(task.name(), item, &mut nats, &mut answers)).collect())
}

/// Judges a baseline on all items of a task; `None` for a task whose answers it cannot write.
///
/// # Errors
/// When the engine asks to stop.
pub fn score_counts(
    context: &StepContext<'_>,
    task: &Task,
    counts: &mut impl Scorer,
) -> Result<Option<Tally>, StepError> {
    if let From::Generated { .. } = task.planned.from {
        return Ok(None);
    }
    let mut tally = Tally::default();
    for items in task.items.chunks(1000) {
        judge(context, task, items, counts)?.iter().for_each(|record| tally.add(record));
    }
    Ok(Some(tally))
}

fn ask(task: &Task, item: &Item, scorer: &impl Scorer) -> Result<Asked, String> {
    let window = scorer.window();
    match &item.question {
        Question::Choice { context, choices, .. } => {
            let delimiter = match &task.planned.from {
                From::Choices { delimiter, .. } => delimiter.as_str(),
                From::Pairs(_) | From::Generated { .. } => "",
            };
            let one = |choice: &String| continuation(scorer, context, &format!("{delimiter}{choice}"))?.within(window);
            choices.iter().map(one).collect::<Result<_, _>>().map(Asked::Scored)
        }
        Question::Pair { good, bad } => {
            let whole = |sentence: &String| {
                let sequence = alone(scorer, sentence)?;
                match sequence.tokens.len() {
                    length if length > window => {
                        Err(format!("a sentence has {length} tokens, the model sees {window}"))
                    }
                    _ => Ok(sequence),
                }
            };
            [good, bad].into_iter().map(whole).collect::<Result<_, _>>().map(Asked::Scored)
        }
        Question::Answer { prompt, answer } => {
            // Every token has at least one byte: an answer that is longer than the right one shows it.
            let most_tokens = answer.len() + 2;
            let tokens = scorer.encode(prompt).map_err(|failure| failure.message)?;
            match tokens.len() + most_tokens {
                needed if needed > window => {
                    Err(format!("question and answer need {needed} tokens, the model sees {window}"))
                }
                _ if tokens.is_empty() => Err("the question has no token".to_owned()),
                _ => Ok(Asked::Answered(Prompt { tokens, most_tokens })),
            }
        }
    }
}

fn record(
    task: &str,
    item: &Item,
    nats: &mut impl Iterator<Item = f64>,
    answers: &mut impl Iterator<Item = String>,
) -> Record {
    let mut record = Record {
        task: task.to_owned(),
        item: item.number,
        group: item.group.clone(),
        digest: item.digest(),
        scores: BTreeMap::new(),
        nats: Vec::new(),
        answer: None,
    };
    let mut right = |name: &str, is_right: bool| record.scores.insert(name.to_owned(), f64::from(u8::from(is_right)));
    match &item.question {
        Question::Choice { choices, gold, .. } => {
            let found: Vec<f64> = nats.take(choices.len()).collect();
            let by = |length: fn(&String) -> usize| {
                likeliest(found.iter().zip(choices).map(|(nats, choice)| nats / length(choice) as f64))
            };
            right(score::ACC, likeliest(found.iter().copied()) == Some(*gold));
            right(score::ACC_NORM, by(|choice| choice.chars().count()) == Some(*gold));
            right(score::ACC_BYTES, by(String::len) == Some(*gold));
            record.nats = found;
        }
        Question::Pair { good, bad } => {
            let found: Vec<f64> = nats.take(2).collect();
            // A tie is wrong, and so is nonsense.
            right(score::ACC, good != bad && matches!(found.as_slice(), [good, bad] if good < bad));
            record.nats = found;
        }
        Question::Answer { answer, .. } => {
            let written = answers.next().unwrap_or_default();
            right(score::EXACT_MATCH, written.lines().next().unwrap_or_default().trim() == answer);
            record.answer = Some(written.chars().take(SHORT).collect());
        }
    }
    record
}

/// Number of the smallest; of equal ones the first, as lm-eval takes it. `None` if a likelihood is no number.
fn likeliest(nats: impl Iterator<Item = f64>) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (number, nats) in nats.enumerate() {
        if nats.is_nan() {
            return None;
        }
        if best.is_none_or(|(_, least)| nats < least) {
            best = Some((number, nats));
        }
    }
    best.map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(question: Question, nats: &[f64], answer: &str) -> Record {
        let item = Item { number: 3, group: None, question };
        record("t", &item, &mut nats.iter().copied(), &mut std::iter::once(answer.to_owned()))
    }

    fn scores(record: &Record) -> Vec<(&str, f64)> {
        record.scores.iter().map(|(name, value)| (name.as_str(), *value)).collect()
    }

    #[test]
    fn choices_are_judged_whole_by_character_and_by_byte() {
        let choices = ["ab", "abcd", "\u{e9}\u{e9}\u{e9}"].map(str::to_owned).to_vec();
        let question = |gold| Question::Choice { context: String::new(), choices: choices.clone(), gold };
        // Per character 0.5, 0.3, 0.33; per byte 0.5, 0.3, 0.17.
        let nats = [1.0, 1.2, 1.0];
        assert_eq!(scores(&judged(question(0), &nats, "")), [("acc", 1.0), ("acc_bytes", 0.0), ("acc_norm", 0.0)]);
        assert_eq!(scores(&judged(question(1), &nats, "")), [("acc", 0.0), ("acc_bytes", 0.0), ("acc_norm", 1.0)]);
        assert_eq!(scores(&judged(question(2), &nats, "")), [("acc", 0.0), ("acc_bytes", 1.0), ("acc_norm", 0.0)]);
        let nonsense = judged(question(0), &[1.0, f64::NAN, 2.0], "");
        assert!(nonsense.scores.values().all(|score| *score == 0.0));
    }

    #[test]
    fn ties_and_nonsense_are_wrong_for_pairs() {
        let pair = |good: &str, bad: &str, nats: [f64; 2]| {
            judged(Question::Pair { good: good.to_owned(), bad: bad.to_owned() }, &nats, "").scores["acc"]
        };
        assert_eq!(pair("a", "b", [1.0, 2.0]), 1.0);
        for (good, bad, nats) in
            [("a", "b", [2.0, 2.0]), ("a", "b", [3.0, 2.0]), ("a", "b", [f64::NAN, 2.0]), ("a", "a", [1.0, 2.0])]
        {
            assert_eq!(pair(good, bad, nats), 0.0);
        }
    }

    #[test]
    fn an_answer_is_exact_but_for_spaces_around_it() {
        let exact = |written: &str| {
            judged(Question::Answer { prompt: String::new(), answer: "19".to_owned() }, &[], written).scores["exact_match"]
        };
        assert_eq!([exact(" 19"), exact("19 "), exact("195"), exact(" 1 9"), exact("")], [1.0, 1.0, 0.0, 0.0, 0.0]);
    }
}
