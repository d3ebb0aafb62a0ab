//! Reads files of questions: one JSON object per line, each within bounds. Every bad line is named.

use serde::Deserialize;

use super::item::{Item, Question};
use stepwell_base::failure::Failure;

/// Largest file, in bytes.
pub const MOST_BYTES: u64 = 256 << 20;
/// Most questions of a task.
pub const MOST_ITEMS: usize = 200_000;
/// Most choices of a question.
const MOST_CHOICES: usize = 256;
/// Most bytes of a context, a choice or a sentence.
const MOST_TEXT: usize = 64 << 10;
/// Most characters of the name of a group, and most groups.
const LONGEST_GROUP: usize = 100;
const MOST_GROUPS: usize = 1000;
/// Most bad lines that a message names.
const MOST_NAMED: usize = 20;

/// Fields of lines of other programs are passed over.
#[derive(Deserialize)]
struct ChoiceLine {
    context: String,
    choices: Vec<String>,
    gold: usize,
}

/// Names of BLiMP (Warstadt et al. 2020), and those of the built-in corpus.
#[derive(Deserialize)]
struct PairLine {
    #[serde(alias = "good")]
    sentence_good: String,
    #[serde(alias = "bad")]
    sentence_bad: String,
    #[serde(rename = "UID", alias = "phenomenon", default)]
    uid: Option<String>,
}

/// Reads `{"context", "choices", "gold"}`; `gold` is the number of the right choice, from 0.
///
/// # Errors
/// Names the bad lines, or the bound that the file breaks.
pub fn choices(task: &str, jsonl: &[u8]) -> Result<Vec<Item>, Failure> {
    read(task, jsonl, |line| {
        let ChoiceLine { context, choices, gold } = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        if !(2..=MOST_CHOICES).contains(&choices.len()) {
            return Err(format!("it has {} choices, not 2 to {MOST_CHOICES}", choices.len()));
        }
        if gold >= choices.len() {
            return Err(format!("`gold` is {gold}, and the choices are numbered 0 to {}", choices.len() - 1));
        }
        text("context", &context)?;
        for (number, choice) in choices.iter().enumerate() {
            text(&format!("choice {number}"), choice)?;
            if choice.is_empty() {
                return Err(format!("choice {number} is empty"));
            }
        }
        Ok((None, Question::Choice { context, choices, gold }))
    })
}

/// Reads `{"sentence_good", "sentence_bad", "UID"}`, or the same as `{"good", "bad", "phenomenon"}`.
///
/// # Errors
/// Names the bad lines, or the bound that the file breaks.
pub fn pairs(task: &str, jsonl: &[u8]) -> Result<Vec<Item>, Failure> {
    let mut groups = std::collections::BTreeSet::new();
    read(task, jsonl, |line| {
        let PairLine { sentence_good: good, sentence_bad: bad, uid } =
            serde_json::from_slice(line).map_err(|error| error.to_string())?;
        for (what, sentence) in [("the good sentence", &good), ("the bad sentence", &bad)] {
            text(what, sentence)?;
            if sentence.is_empty() {
                return Err(format!("{what} is empty"));
            }
        }
        if let Some(uid) = &uid {
            if uid.is_empty() || uid.chars().count() > LONGEST_GROUP || uid.chars().any(char::is_control) {
                return Err(format!("`UID` is a name of 1 to {LONGEST_GROUP} characters"));
            }
            groups.insert(uid.clone());
            if groups.len() > MOST_GROUPS {
                return Err(format!("it is the first line of a group too many: there are at most {MOST_GROUPS}"));
            }
        }
        Ok((uid, Question::Pair { good, bad }))
    })
}

fn text(what: &str, text: &str) -> Result<(), String> {
    match text.len() {
        bytes if bytes > MOST_TEXT => Err(format!("{what} has {bytes} bytes, at most {MOST_TEXT}")),
        _ => Ok(()),
    }
}

fn read(
    task: &str,
    jsonl: &[u8],
    mut parse: impl FnMut(&[u8]) -> Result<(Option<String>, Question), String>,
) -> Result<Vec<Item>, Failure> {
    let (mut items, mut bad) = (Vec::new(), BadLines::of(task));
    for (number, line) in (1..).zip(jsonl.split(|byte| *byte == b'\n')) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match parse(line) {
            Ok((group, question)) => items.push(Item { number, group, question }),
            Err(why) => bad.add(number, &why),
        }
        if items.len() > MOST_ITEMS {
            return Err(Failure::fatal(format!("task `{task}` has more than {MOST_ITEMS} lines"))
                .with_hint("divide the file, and make a task of each part"));
        }
    }
    bad.refuse()?;
    if items.is_empty() {
        return Err(Failure::fatal(format!("task `{task}` has no line")));
    }
    Ok(items)
}

/// Lines that are no questions, the first of them by name.
pub struct BadLines<'a> {
    task: &'a str,
    named: Vec<String>,
    count: usize,
}

impl BadLines<'_> {
    pub fn of(task: &str) -> BadLines<'_> {
        BadLines { task, named: Vec::new(), count: 0 }
    }

    pub fn add(&mut self, number: u64, why: &str) {
        self.count += 1;
        if self.named.len() < MOST_NAMED {
            self.named.push(format!("line {number}: {why}"));
        }
    }

    /// # Errors
    /// When there was a bad line.
    pub fn refuse(self) -> Result<(), Failure> {
        if self.count == 0 {
            return Ok(());
        }
        let more = match self.count - self.named.len() {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let message = format!("task `{}` has {} bad lines: {}{more}", self.task, self.count, self.named.join("; "));
        Err(Failure::fatal(message).with_hint("correct the lines; nothing has been measured"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_line_is_named_and_blank_ones_are_passed_over() {
        let file = concat!(
            "{\"context\":\"a\",\"choices\":[\"b\",\"c\"],\"gold\":1,\"id\":7}\n\n",
            "{\"context\":\"a\",\"choices\":[\"b\",\"c\"],\"gold\":2}\r\n",
            "{\"context\":\"a\",\"choices\":[\"b\"],\"gold\":0}\n",
            "{\"context\":\"a\",\"choices\":[\"b\",\"\"],\"gold\":0}\n",
            "{\"context\":\"a\"}\n",
        );
        let message = choices("cloze", file.as_bytes()).unwrap_err().message;
        assert!(message.starts_with("task `cloze` has 4 bad lines: line 3: `gold` is 2"), "{message}");
        for part in ["line 4: it has 1 choices", "line 5: choice 1 is empty", "line 6: missing field `choices`"] {
            assert!(message.contains(part), "{message}");
        }
        let first = file.lines().next().unwrap();
        let items = choices("cloze", first.as_bytes()).unwrap();
        assert_eq!((items.len(), items[0].number), (1, 1));
        assert!(choices("cloze", b"\n \n").unwrap_err().message.contains("no line"));
    }

    #[test]
    fn a_message_names_the_first_bad_lines_and_counts_the_others() {
        let message = pairs("p", "{}\n".repeat(50).as_bytes()).unwrap_err().message;
        assert!(message.contains("50 bad lines") && message.ends_with("and 30 more"), "{message}");
    }

    #[test]
    fn pairs_are_those_of_blimp_and_of_the_built_in_corpus() {
        let blimp = r#"{"sentence_good":"A cat sits.","sentence_bad":"A cat sit.","UID":"agreement","pair_id":0,"field":"syntax"}"#;
        let own = r#"{"phenomenon":"agreement","good":"A cat sits.","bad":"A cat sit."}"#;
        let [one, other] = [blimp, own].map(|line| pairs("p", line.as_bytes()).unwrap());
        assert_eq!(one, other);
        assert_eq!(one[0].group.as_deref(), Some("agreement"));
        let without = pairs("p", br#"{"good":"a","bad":"b"}"#).unwrap();
        assert_eq!(without[0].group, None);
        let long = format!(r#"{{"good":"a","bad":"{}"}}"#, "b".repeat(MOST_TEXT + 1));
        assert!(pairs("p", long.as_bytes()).unwrap_err().message.contains("line 1: the bad sentence has 65537 bytes"));
        let control = r#"{"good":"a","bad":"b","UID":"x\u001b[31m"}"#;
        assert!(pairs("p", control.as_bytes()).unwrap_err().message.contains("`UID`"));
    }
}
