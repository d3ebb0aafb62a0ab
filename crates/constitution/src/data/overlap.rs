//! Training rows must share nothing with evaluation items.

use std::collections::{HashMap, HashSet};

use super::trim::normalised;
use crate::stop::{Code, Stop, quoted};

/// Words of a shared sequence, as in GPT-3 (Brown et al. 2020, appendix C).
const WORDS: usize = 13;

/// A text that is held out, with the id of its item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    pub id: String,
    pub text: String,
}

/// Compares training texts with held-out ones: exactly, without case, punctuation and space, and by sequences of 13 words.
///
/// # Errors
/// `OverlapExact`, `OverlapNormalised`, `OverlapNgram` for the first shared text.
pub fn check_overlap<'a>(training: impl IntoIterator<Item = (&'a str, &'a str)>, held: &[Held]) -> Result<(), Stop> {
    let exact: HashMap<&str, &str> = held.iter().map(|held| (held.text.trim(), &*held.id)).collect();
    let plain: Vec<(String, &str)> = held.iter().map(|held| (normalised(&held.text), &*held.id)).collect();
    let equal: HashMap<&str, &str> = plain.iter().map(|(text, id)| (&**text, *id)).collect();
    let mut sequences: HashMap<Vec<&str>, &str> = HashMap::new();
    for (text, id) in &plain {
        let words: Vec<&str> = text.split(' ').collect();
        for sequence in words.windows(WORDS) {
            sequences.entry(sequence.to_vec()).or_insert(id);
        }
    }
    let found = |code, how: &str, (row, text): (&str, &str), id: &str| {
        Stop::new(
            code,
            format!("the training row `{row}` {how} the evaluation item `{id}`: {}", quoted(text)),
            "a model that has seen the questions is not measured by them; remove the seed or the item",
        )
    };
    let mut checked: HashSet<&str> = HashSet::new();
    for (row, text) in training {
        if !checked.insert(text) {
            continue;
        }
        if let Some(id) = exact.get(text.trim()).filter(|_| !text.trim().is_empty()) {
            return Err(found(Code::OverlapExact, "equals", (row, text), id));
        }
        let same = normalised(text);
        if let Some(id) = equal.get(&*same).filter(|_| !same.is_empty()) {
            return Err(found(Code::OverlapNormalised, "equals, but for case and punctuation,", (row, text), id));
        }
        let words: Vec<&str> = same.split(' ').collect();
        for sequence in words.windows(WORDS) {
            if let Some(id) = sequences.get(sequence) {
                return Err(found(Code::OverlapNgram, "shares 13 words with", (row, &sequence.join(" ")), id));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planted_overlaps_have_their_codes_and_others_pass() {
        let thirteen = "one two three four five six seven eight nine ten eleven twelve thirteen";
        let held = [
            Held { id: "e1".into(), text: "Name three colours.".into() },
            Held { id: "e2".into(), text: format!("Say {thirteen} aloud") },
        ];
        let code = |text: &str| check_overlap([("t", text)], &held).err().map(|stop| stop.code);
        assert_eq!(code("Name three colours."), Some(Code::OverlapExact));
        assert_eq!(code(" Name three colours.\n"), Some(Code::OverlapExact));
        assert_eq!(code("name  three COLOURS"), Some(Code::OverlapNormalised));
        assert_eq!(code(&format!("Please, {} now!", thirteen.to_uppercase())), Some(Code::OverlapNgram));
        assert_eq!(code("Name three rivers."), None);
        let twelve = thirteen.rsplit_once(' ').unwrap().0;
        assert_eq!(code(&format!("x {twelve} y")), None, "twelve words are not enough");
        assert_eq!(code(""), None);
    }
}
