//! One question to a model.

use stepwell_base::artifact::Digest;

/// A question, and where it comes from.
#[derive(Clone, PartialEq, Debug)]
pub struct Item {
    /// Number of its line, or its place among generated ones, from 1.
    pub number: u64,
    /// Part of the task that it belongs to, such as the `UID` of a minimal pair.
    pub group: Option<String>,
    pub question: Question,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Question {
    /// Which of these texts continues the context?
    Choice { context: String, choices: Vec<String>, gold: usize },
    /// Which of two sentences is right?
    Pair { good: String, bad: String },
    /// What is the rest of the line? `answer` is exact, without spaces around it.
    Answer { prompt: String, answer: String },
}

/// Characters of a digest that items have.
const DIGITS: usize = 16;

impl Item {
    /// Tells equal questions from others, so that two models are compared on the same ones only.
    pub fn digest(&self) -> String {
        let mut parts: Vec<&str> = vec![self.group.as_deref().unwrap_or_default()];
        let gold;
        match &self.question {
            Question::Choice { context, choices, gold: right } => {
                gold = right.to_string();
                parts.extend(["choice", context, &gold]);
                parts.extend(choices.iter().map(String::as_str));
            }
            Question::Pair { good, bad } => parts.extend(["pair", good, bad]),
            Question::Answer { prompt, answer } => parts.extend(["answer", prompt, answer]),
        }
        digest_of(&parts)
    }
}

/// Digest of texts, in which the places of their ends count.
pub fn digest_of(parts: &[&str]) -> String {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    Digest::of(&bytes).as_str()[..DIGITS].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_question_counts() {
        let item = |context: &str, choices: [&str; 2], gold| Item {
            number: 1,
            group: None,
            question: Question::Choice {
                context: context.to_owned(),
                choices: choices.map(str::to_owned).to_vec(),
                gold,
            },
        };
        let one = item("a", ["b", "c"], 0);
        assert_eq!(one.digest(), Item { number: 9, ..one.clone() }.digest());
        for other in [item("a", ["b", "c"], 1), item("a", ["bc", ""], 0), item("ab", ["", "c"], 0)] {
            assert_ne!(one.digest(), other.digest());
        }
        assert_ne!(one.digest(), Item { group: Some("g".to_owned()), ..one.clone() }.digest());
    }
}
