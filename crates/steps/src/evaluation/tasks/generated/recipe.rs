//! A generated question: some solved lines, and one to be solved.

use super::line::Line;
use super::{arithmetic, brackets, sequences};
use crate::evaluation::tasks::item::{Item, Question};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stepwell_base::rng::{Rng, derive_seed};

/// Most solved lines before a question.
pub const MOST_SHOTS: u64 = 32;
/// Most letters and brackets.
const MOST_SIZE: u64 = 64;

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Sums and differences of numbers of up to `size` digits.
    Arithmetic,
    /// Repeat `size` letters.
    Copy,
    /// Put `size` different letters in order.
    Sort,
    /// Close `size` brackets of three kinds.
    Brackets,
}

/// All that a generated task depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recipe {
    pub form: Form,
    pub seed: u64,
    /// Digits, letters or brackets.
    pub size: u64,
    /// Solved lines before each question.
    pub shots: u64,
}

impl Form {
    pub fn as_str(self) -> &'static str {
        match self {
            Form::Arithmetic => "arithmetic",
            Form::Copy => "copy",
            Form::Sort => "sort",
            Form::Brackets => "brackets",
        }
    }

    /// The size without a wish.
    pub fn usual_size(self) -> u64 {
        match self {
            Form::Arithmetic => 2,
            Form::Copy | Form::Sort => 5,
            Form::Brackets => 4,
        }
    }

    /// The largest size: there are 26 letters, and numbers of 18 digits are whole in 64 bits.
    pub fn largest_size(self) -> u64 {
        match self {
            Form::Arithmetic => 17,
            Form::Sort => 26,
            Form::Copy | Form::Brackets => MOST_SIZE,
        }
    }

    fn line(self, rng: &mut Rng, size: u64) -> Line {
        match self {
            Form::Arithmetic => arithmetic::line(rng, size),
            Form::Copy => sequences::copy(rng, size),
            Form::Sort => sequences::sort(rng, size),
            Form::Brackets => brackets::line(rng, size),
        }
    }
}

impl Recipe {
    /// Question `number`, from 1. Each has solved lines of its own, which never ask the same.
    pub fn item(self, number: u64) -> Item {
        let mut rng = Rng::new(derive_seed(self.seed, self.form.as_str(), number));
        let last = self.form.line(&mut rng, self.size);
        let mut prompt = String::new();
        for _ in 0..self.shots {
            let mut shot = self.form.line(&mut rng, self.size);
            // Sizes of 1 have few lines; a repeated question would show its answer.
            for _ in 0..20 {
                if shot.asked != last.asked {
                    break;
                }
                shot = self.form.line(&mut rng, self.size);
            }
            if shot.asked != last.asked {
                prompt.push_str(&format!("{} {}\n", shot.asked, shot.answer));
            }
        }
        prompt.push_str(&last.asked);
        Item { number, group: None, question: Question::Answer { prompt, answer: last.answer } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(form: Form, seed: u64) -> Recipe {
        Recipe { form, seed, size: form.usual_size(), shots: 3 }
    }

    const ALL: [Form; 4] = [Form::Arithmetic, Form::Copy, Form::Sort, Form::Brackets];

    #[test]
    fn a_question_is_a_function_of_seed_and_number() {
        for form in ALL {
            let items: Vec<Item> = (1..=50).map(|number| recipe(form, 1).item(number)).collect();
            assert_eq!(items[6], recipe(form, 1).item(7));
            assert_ne!(items[6], recipe(form, 2).item(7));
            let different: std::collections::BTreeSet<String> = items.iter().map(Item::digest).collect();
            assert_eq!(different.len(), 50, "{form:?}");
        }
    }

    #[test]
    fn solved_lines_do_not_ask_the_same() {
        for form in ALL {
            for number in 1..200 {
                let small = Recipe { size: 1, ..recipe(form, 5) };
                let Question::Answer { prompt, .. } = small.item(number).question else { panic!() };
                let asked = prompt.lines().last().unwrap().to_owned();
                assert!(!prompt.lines().rev().skip(1).any(|line| line.starts_with(&asked)), "{prompt}");
            }
        }
    }

    #[test]
    fn questions_look_as_documented() {
        let shown = |form| {
            let Question::Answer { prompt, answer } = recipe(form, 1).item(1).question else { panic!() };
            format!("{prompt} {answer}").lines().last().unwrap().to_owned()
        };
        assert!(shown(Form::Copy).starts_with("copy: "));
        assert!(shown(Form::Sort).starts_with("sort: "));
        assert!(shown(Form::Brackets).starts_with("close: "));
        assert!(shown(Form::Arithmetic).contains(" = "));
    }
}
