//! Verbs that people try, and the one that does it here.

use std::path::Path;

use super::state::{self, State};
use super::verb_table::VERBS;
use super::words;
use crate::drive::mistakes::{Shape, from_script, shape_of};
use crate::drive::workflow_source::find;
use stepwell_base::shell;
use stepwell_config::Origin;

/// Words for the programs that read event files.
const EVENT_FILES: [&str; 4] = ["tensorboard", "wandb", "mlflow", "sync"];
/// Words for copying a result out of the state.
const EXPORT: [&str; 7] = ["export", "download", "save", "pull", "fetch", "cp", "get"];

/// Answers a word that is no verb below the verbs in `path`. `behind` are the words behind it.
pub fn verb(path: &[&str], word: &str, behind: &[&str], state: &State) -> Option<String> {
    let lower = word.to_lowercase();
    match path {
        [] if EXPORT.contains(&&*lower) => {
            let reader = state.reader();
            let known = reader.as_ref().and_then(|reader| {
                let parts = [state::exported(state, reader, behind), state::outputs(reader, behind)];
                let parts: Vec<String> = parts.into_iter().flatten().collect();
                (!parts.is_empty()).then(|| parts.join("; "))
            });
            if known.is_some() {
                return known;
            }
        }
        [] if matches!(&*lower, "cat" | "print")
            && behind.first().is_some_and(|output| output.matches('/').count() == 2) =>
        {
            return Some(format!("{} prints an output", shell::stepwell("artifact show", behind.first().copied())));
        }
        [] if EVENT_FILES.contains(&&*lower) => {
            let settings = state.settings().filter(|settings| settings.state_dir.origin != Origin::Default);
            if let Some(settings) = settings {
                let folder = shell::quote(settings.state_dir.value.join("tensorboard"));
                let known = VERBS.iter().find(|(words, _)| words.contains(&&*lower)).map(|(_, answer)| *answer);
                return known.map(|answer| answer.replace("state/tensorboard", &folder));
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
