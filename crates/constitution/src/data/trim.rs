//! Where an answer of a base model ends, and what is wrong with the rest.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Marks the end of an answer in data of others.
const END: &str = "###END###";

/// Starts of lines with which a base model starts a turn of its own.
const TURNS: [&str; 4] = ["Instruction", "Q:", "A:", "Response:"];

/// Texts of the prompts that no answer may have.
const DELIMITERS: [&str; 5] = [END, "Instruction:", "Response:", "Label:", "Principle:"];

/// Words of a sequence, and how often it must occur for a text to count as repeating itself.
const RUNAWAY_WORDS: usize = 4;
const RUNAWAY_TIMES: usize = 3;

/// Cuts what a model wrote behind its answer: at `###END###`, else at the first empty line or the first line that starts a turn.
pub fn trim(text: &str) -> &str {
    if let Some((answer, _)) = text.split_once(END) {
        return answer.trim();
    }
    // Space before the answer is no empty line behind it.
    let text = text.trim_start();
    let mut at = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let start = line.trim();
        let ends = start.is_empty() || (number > 0 && TURNS.iter().any(|turn| start.starts_with(turn)));
        if ends {
            return text[..at].trim_end();
        }
        at += line.len();
    }
    text.trim_end()
}

/// The part that a critic reads.
pub fn first_paragraph(text: &str) -> &str {
    let text = text.trim();
    text.split("\n\n").next().unwrap_or_default().trim_end()
}

/// A text for comparisons: lower case, letters and digits, single spaces.
pub fn normalised(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    let kept = text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty());
    for word in kept {
        if !words.is_empty() {
            words.push(' ');
        }
        words.extend(word.chars().flat_map(char::to_lowercase));
    }
    words
}

/// Faults of an answer. Length is none of them: a rule that called long answers runaways had half of its alarms wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flags {
    /// It repeats itself: a sequence of four words occurs three times, or a line twice in a row.
    pub runaway: bool,
    /// The model was cut off at the most tokens, and what is left after trimming has no end.
    pub token_limit: bool,
    /// It has a delimiter of the prompts, or the spelling of a special token.
    pub leak: bool,
    pub empty: bool,
}

impl Flags {
    pub fn is_clean(&self) -> bool {
        *self == Flags::default()
    }
}

/// Judges an answer. `raw` is what the model wrote, `answer` what [`trim`] left of it.
pub fn flags(raw: &str, answer: &str, cut_off: CutOff, special: &[String]) -> Flags {
    // A text that was cut behind its answer has an end.
    let has_end = raw.trim().len() > answer.len();
    Flags {
        runaway: repeats(answer),
        token_limit: cut_off == CutOff::Yes && !has_end,
        leak: DELIMITERS.iter().any(|mark| answer.contains(mark))
            || special.iter().any(|token| answer.contains(token.as_str())),
        empty: answer.is_empty(),
    }
}

/// End of an answer at its limit of tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CutOff {
    Yes,
    No,
}

fn repeats(text: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.windows(2).any(|pair| pair[0] == pair[1]) {
        return true;
    }
    let words = normalised(text);
    let words: Vec<&str> = words.split(' ').collect();
    let mut seen: HashMap<&[&str], usize> = HashMap::new();
    words.windows(RUNAWAY_WORDS).any(|sequence| {
        let times = seen.entry(sequence).or_default();
        *times += 1;
        *times >= RUNAWAY_TIMES
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_the_rules_say() {
        for (raw, answer) in [
            (" Blue.###END### more", "Blue."),
            (" Blue.\n\nInstruction: x", "Blue."),
            (" Blue.\nQ: why?", "Blue."),
            (" One\nTwo\nResponse: x", "One\nTwo"),
            (" A: x is fine at the start", "A: x is fine at the start"),
            ("\n\n Blue.", "Blue."),
            ("", ""),
            ("###END###", ""),
            ("a\r\n\r\nb", "a"),
        ] {
            assert_eq!(trim(raw), answer, "{raw:?}");
        }
        assert_eq!(first_paragraph(" a\nb\n\nc"), "a\nb");
        assert_eq!(normalised("  The  CAT's, \n hat! "), "the cat s hat");
    }

    /// Rows that a person labelled: the metric must agree with all, and length must not decide.
    #[test]
    fn faults_are_found_in_planted_rows_and_not_in_good_ones() {
        let long = "Water freezes when its temperature falls to zero degrees Celsius at the pressure of the sea. Molecules slow \
                    down and form crystals, which need more room than the liquid did, so ice floats on lakes and pipes burst in \
                    a cold winter. Salt lowers that point, and this is why roads are salted before a frosty night begins.";
        let flags_of = |answer: &str, cut_off| flags(answer, answer, cut_off, &["<|x|>".to_owned()]);
        for good in ["Blue.", "Yes", long, "Red\nGreen\nBlue", "1, 2, 3, 4, 5, 6, 7"] {
            assert!(flags_of(good, CutOff::No).is_clean(), "{good}");
        }
        for bad in [
            "It is good to be good to be good to be good to be good to be",
            "Yes.\nYes.",
            "go on and on go on and on go on and on",
        ] {
            assert!(flags_of(bad, CutOff::No).runaway, "{bad}");
        }
        for leak in ["Blue. Instruction: name", "a ###END###", "Blue<|x|>", "Label: A"] {
            assert!(flags_of(leak, CutOff::No).leak, "{leak}");
        }
        assert!(flags_of("and then it", CutOff::Yes).token_limit);
        assert!(!flags("Blue.\n\nInstruction: and then", "Blue.", CutOff::Yes, &[]).token_limit, "its end was written");
        assert!(flags_of("", CutOff::No).empty);
    }
}
