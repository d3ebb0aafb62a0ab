//! Params that people write as flags, as in `--lr 0.004`: they work, and a line says what was set.

use std::ffi::OsString;

use clap::Command;
use serde_json::{Map, Value};

use super::flags::params;
use super::state::State;
use stepwell_base::shell::quote;
use stepwell_workflow::parse::{Meant, is_usual, meant};

/// A command line with a param in place of a flag that the command lacks.
#[derive(PartialEq, Eq, Debug)]
pub struct ParamSet {
    pub words: Vec<OsString>,
    pub remark: String,
}

/// Sets a param where the flag `unknown` stands. `behind` is the index of the first word behind the verbs.
pub fn set_param(
    command: &Command,
    (words, behind): (&[OsString], usize),
    unknown: &str,
    state: &State,
) -> Option<ParamSet> {
    let has_set = command.get_arguments().any(|argument| argument.get_id() == "set");
    if !unknown.starts_with('-') {
        return set_word(command, (words, behind), unknown, state).filter(|_| has_set);
    }
    let name = unknown.strip_prefix("--").filter(|name| has_set && !name.is_empty())?;
    let texts: Vec<&str> = words.iter().map(|word| word.to_str().unwrap_or_default()).collect();
    let end = texts.iter().position(|word| *word == "--").unwrap_or(texts.len());
    let own = |word: &str| word == unknown || word.strip_prefix(unknown).is_some_and(|rest| rest.starts_with('='));
    let at = (behind..end).find(|index| own(texts[*index]))?;
    let (value, length) = match texts[at].split_once('=') {
        Some((_, value)) => (value, 1),
        None => (texts.get(at + 1).copied().filter(|next| at + 1 < end && is_value(next))?, 2),
    };
    let params = params(command, &texts[behind..], state);
    let param = exact(&params, name).filter(|param| !is_text_of_training(command, param))?;
    let set = format!("{param}={value}");
    let remark = format!("note: {} is taken as `-S {}`", texts[at..at + length].join(" "), quote(&set));
    let mut words = words.to_vec();
    words.splice(at..at + length, ["-S".into(), set.into()]);
    Some(ParamSet { words, remark })
}

/// Sets a param where the word `lr=0.1` stands.
fn set_word(command: &Command, (words, behind): (&[OsString], usize), word: &str, state: &State) -> Option<ParamSet> {
    let (name, value) = word.split_once('=')?;
    let texts: Vec<&str> = words.iter().map(|word| word.to_str().unwrap_or_default()).collect();
    let at = (behind..texts.len()).take_while(|index| texts[*index] != "--").find(|index| texts[*index] == word)?;
    let params = params(command, &texts[behind..], state);
    let param = exact(&params, name).filter(|param| !is_text_of_training(command, param))?;
    let set = format!("{param}={value}");
    let remark = format!("note: {word} is taken as `-S {}`", quote(&set));
    let mut words = words.to_vec();
    words.splice(at..=at, ["-S".into(), set.into()]);
    Some(ParamSet { words, remark })
}

/// The param that a name means for certain: its own name, or the usual one of another tool.
pub fn exact<'a>(params: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let plain = name.to_lowercase().replace('-', "_");
    let Meant { param, remark } = meant(params, name)?;
    let is_own = params.contains_key(&plain);
    // `--gpu 0` and `--bf16 true` need another value, too.
    let same_value = !matches!(param, "device" | "precision") || plain == "dtype" || is_own;
    (is_own || is_usual(name) && remark.is_none() && same_value).then_some(param)
}

/// The texts of `start-training` need no flag, and choose the workflow.
fn is_text_of_training(command: &Command, param: &str) -> bool {
    param == "corpus" && command.get_name() == "start-training"
}

fn is_value(word: &str) -> bool {
    !word.starts_with('-') || word.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::command_line::Cli;

    const COMMAND: &str = "stepwell run commands";

    fn set(flags: &str) -> Option<String> {
        let words: Vec<OsString> = COMMAND.split_whitespace().chain(flags.split(' ')).map(OsString::from).collect();
        let mut root = Cli::command();
        root.build();
        let run = root.find_subcommand("run").unwrap();
        let unknown = flags.split(if flags.starts_with('-') { ['=', ' '] } else { [' ', ' '] }).next().unwrap();
        let found = set_param(run, (&words, 2), unknown, &State::of(&words))?;
        let words: Vec<&str> = found.words.iter().skip(3).map(|word| word.to_str().unwrap()).collect();
        Some(format!("{} | {}", words.join(" "), found.remark))
    }

    #[test]
    fn only_a_param_with_a_value_is_taken() {
        let expected = "-S lines=7 | note: --lines 7 is taken as `-S lines=7`";
        assert_eq!(set("--lines 7").as_deref(), Some(expected));
        assert_eq!(set("--lines=7").as_deref(), Some("-S lines=7 | note: --lines=7 is taken as `-S lines=7`"));
        assert_eq!(set("--lines -7").as_deref(), Some("-S lines=-7 | note: --lines -7 is taken as `-S lines=-7`"));
        let expected = "-S lines=7 | note: lines=7 is taken as `-S lines=7`";
        assert_eq!(set("lines=7").as_deref(), Some(expected));
        for other in ["lies=7", "--lines", "--lines --detach", "--lies 7", "--lr 7", "-lines 7", "--epochs 7"] {
            assert_eq!(set(other), None, "{other}");
        }
    }

    #[test]
    fn a_usual_name_counts_unless_its_value_would_mean_something_else() {
        let params = serde_json::json!({ "learning_rate": 1, "device": "cpu", "precision": "f32", "steps": 3 });
        let params = params.as_object().unwrap();
        let found = ["lr", "Learning-Rate", "device", "dtype", "gpu", "bf16", "epochs", "stesp"]
            .map(|name| exact(params, name));
        let expected =
            [Some("learning_rate"), Some("learning_rate"), Some("device"), Some("precision"), None, None, None, None];
        assert_eq!(found, expected);
    }
}
