//! Verbs that people try, and the one that does it here.

use std::path::Path;

use super::state::{self, State};
use super::verb_table::VERBS;
use super::words;
use crate::drive::mistakes::{Shape, from_script, shape_of};
use crate::drive::workflow_source::find;
use stepwell_base::shell;

/// Words for copying a result out of the state.
const EXPORT: [&str; 6] = ["export", "download", "save", "pull", "fetch", "cp"];

/// Answers a word that is no verb below the verbs in `path`. `behind` are the words behind it.
pub fn verb(path: &[&str], word: &str, behind: &[&str], state: &State) -> Option<String> {
    let lower = word.to_lowercase();
    match path {
        [] if EXPORT.contains(&&*lower) => {
            if let Some(answer) = state.reader().and_then(|reader| state::outputs(&reader, behind)) {
                return Some(answer);
            }
        }
        ["schedule"] => {
            let all: Vec<&str> = std::iter::once(word).chain(behind.iter().copied()).collect();
            if let Some(answer) = words::schedule(&all) {
                return Some(answer);
            }
        }
        _ => {}
    }
    let asked = path.iter().copied().chain([&*lower]).collect::<Vec<_>>().join(" ");
    let known = VERBS.iter().find(|(words, _)| words.contains(&asked.as_str())).map(|(_, answer)| (*answer).to_owned());
    known.or_else(|| if path.is_empty() { self::path(word) } else { None })
}

/// Answers a file, a folder or the name of a workflow in place of a verb.
fn path(word: &str) -> Option<String> {
    if find(word).is_ok() {
        return Some(format!("{} runs this workflow", shell::stepwell("run", [word])));
    }
    if !Path::new(word).exists() {
        return None;
    }
    Some(match shape_of(Path::new(word)) {
        Shape::Script | Shape::Program => from_script(word),
        _ => format!("{} trains a model on it", shell::stepwell("start-training", [word])),
    })
}

#[cfg(test)]
pub(super) fn table() -> impl Iterator<Item = (&'static str, &'static str)> {
    VERBS.iter().flat_map(|(words, answer)| words.iter().map(|word| (*word, *answer)))
}
