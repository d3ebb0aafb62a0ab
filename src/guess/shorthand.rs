//! Words and flags of other programs that can mean only one thing here: they work, without being in the help.

use std::ffi::{OsStr, OsString};

use clap::Command;

use crate::drive::workflow_source::find;

/// A command as people type it, and in full. Two words come before one.
const COMMANDS: &[(&[&str], &[&str])] = &[
    (&["unkeep", "unpin", "unprotect", "unlock"], &["keep", "--undo"]),
    (&["pin", "protect", "star", "lock"], &["keep"]),
    (&["comment", "annotate"], &["note"]),
    (&["label"], &["tag"]),
    (&["schedules", "crons", "cron list", "cron ls", "timer list"], &["schedule", "list"]),
    (&["workflows", "recipes", "pipelines"], &["workflow", "list"]),
    (&["tokens"], &["token", "list"]),
    (&["artifacts", "outputs"], &["artifact", "ls"]),
    (&["provenance"], &["artifact", "provenance"]),
    (&["backup"], &["db", "backup"]),
    (&["validate", "lint"], &["workflow", "validate"]),
    (&["dry-run", "dryrun"], &["workflow", "validate"]),
    (&["submit", "enqueue", "sbatch"], &["run", "--detach"]),
    (&["train", "pretrain"], &["start-training"]),
    (&["completion"], &["completions"]),
    (&["ask", "talk"], &["chat"]),
    (&["run-batch", "batch run", "batch create", "batch submit"], &["batch"]),
    (&["batches", "batch list", "batch ls", "batch status"], &["list", "--workflow", "batch"]),
    (&["get runs", "get run", "get jobs", "get job"], &["list"]),
    (&["ps", "runs", "jobs", "history", "queue", "squeue", "sacct"], &["list"]),
    (&["runs list", "runs ls", "run list", "run ls", "jobs list", "job list", "exp show"], &["list"]),
    (&["inspect", "info", "describe"], &["show"]),
    (&["log", "stdout"], &["logs"]),
    (&["tail"], &["logs", "--follow"]),
    (&["follow", "attach", "monitor", "progress", "wait"], &["watch"]),
    (&["plot", "plots", "curve", "curves", "metric", "loss", "losses"], &["metrics"]),
    (&["metrics show", "metrics plot", "metrics list", "plots show"], &["metrics"]),
    (&["diff", "vs", "versus", "metrics diff", "runs diff", "params diff", "exp diff"], &["compare"]),
    (&["checkpoint", "ckpt", "ckpts", "snapshots"], &["checkpoints"]),
    (
        &["checkpoint ls", "checkpoint list", "checkpoints ls", "checkpoints list", "ckpt ls", "ckpt list"],
        &["checkpoints"],
    ),
    (&["why", "reason"], &["explain"]),
    (&["settings"], &["config", "show", "--origin"]),
    (&["version"], &["--version"]),
    (&["devices", "gpu", "gpus", "system", "sinfo"], &["doctor"]),
    (&["system prune", "system df", "image prune"], &["gc", "--dry-run"]),
    (&["scancel"], &["cancel"]),
    (&["repro", "srun", "apply"], &["run"]),
    (&["artifact list"], &["artifact", "ls"]),
    (&["artifact cat", "artifact print", "artifact view"], &["artifact", "show"]),
    (
        &["artifact download", "artifact copy", "artifact cp", "artifact export", "artifact save", "artifact pull"],
        &["artifact", "get"],
    ),
    (&["schedule create", "schedule new"], &["schedule", "add"]),
    (&["schedule delete", "schedule rm"], &["schedule", "remove"]),
    (&["schedule stop", "schedule disable"], &["schedule", "pause"]),
    (&["schedule enable", "schedule unpause"], &["schedule", "resume"]),
    (&["token new", "token add", "token make", "token issue", "token generate"], &["token", "create"]),
    (&["token delete", "token remove", "token rm"], &["token", "revoke"]),
    (&["token ls"], &["token", "list"]),
    (&["workflow ls"], &["workflow", "list"]),
    (&["workflow init", "workflow create"], &["workflow", "new"]),
    (&["workflow run", "workflow start"], &["run"]),
    (&["workflow submit"], &["run", "--detach"]),
    (&["workflow check", "workflow lint", "workflow test"], &["workflow", "validate"]),
    (&["workflow cat", "workflow source"], &["workflow", "show", "--source"]),
    (&["workflow params", "workflow describe", "workflow info", "workflow print"], &["workflow", "show"]),
    (&["workflow dot", "workflow draw", "workflow plot", "workflow dag"], &["workflow", "graph"]),
    (&["config get", "config list", "config ls", "config print"], &["config", "show"]),
    (&["db verify", "db validate", "db fsck"], &["db", "check"]),
    (&["db dump", "db save", "db copy"], &["db", "backup"]),
];

/// Words for the graph of a workflow; of a run, they may mean its curve.
const GRAPH: [&str; 4] = ["graph", "dag", "dot", "tree"];
/// Flags in front of a verb that have a value.
const WITH_VALUE: [&str; 5] = ["--state-dir", "--export-dir", "--output", "--format", "--color"];

/// Replaces what has another name here. Words that are known already stay.
pub fn in_full(root: &Command, words: Vec<OsString>) -> Vec<OsString> {
    let words = match verb_at(&words) {
        Some(at) => with_verb(root, words, at),
        None => words,
    };
    with_flags(root, words)
}

/// The place of the verb.
fn verb_at(words: &[OsString]) -> Option<usize> {
    let mut at = 1;
    loop {
        let word = words.get(at)?.to_str()?;
        match word {
            "--" => return None,
            flag if WITH_VALUE.contains(&flag) => at += 2,
            flag if flag.starts_with('-') => at += 1,
            _ => return Some(at),
        }
    }
}

fn with_verb(root: &Command, mut words: Vec<OsString>, at: usize) -> Vec<OsString> {
    let text = |index: usize| words.get(index).and_then(|word| word.to_str()).unwrap_or_default();
    let (first, second) = (text(at).to_lowercase(), text(at + 1));
    let full = |asked: &str| COMMANDS.iter().find(|(known, _)| known.contains(&asked)).map(|(_, full)| *full);
    let is_verb = root.find_subcommand(&first).is_some();
    let (length, full) = match (full(&format!("{first} {second}")), full(&first)) {
        (Some(two), _) => (2, two),
        (None, Some(one)) if !is_verb => (1, one),
        _ if GRAPH.contains(&&*first) && !is_verb && find(second).is_ok() => (1, ["workflow", "graph"].as_slice()),
        _ => return words,
    };
    words.splice(at..at + length, full.iter().map(OsString::from));
    words
}

/// Replaces flags that every verb has under another name, unless the verb has a flag of this name.
fn with_flags(root: &Command, words: Vec<OsString>) -> Vec<OsString> {
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let mut command = root;
    for word in verb_at(&words).map_or(&[][..], |at| &words[at..end]) {
        let Some(found) = word.to_str().and_then(|word| command.find_subcommand(word)) else { break };
        command = found;
    }
    let has = |long: &str| command.get_arguments().any(|argument| argument.get_long() == Some(long));
    // Such a word is text: a note, for example.
    if command.get_positionals().any(|argument| argument.is_allow_hyphen_values_set()) {
        return words;
    }
    let has_o = command.get_arguments().any(|argument| argument.get_short() == Some('o'));
    // The value of another option may look like a flag.
    let takes_value = |before: Option<&OsString>| {
        let Some(flag) = before.and_then(|word| word.to_str()?.strip_prefix("--")) else { return false };
        let found = command.get_arguments().find(|argument| argument.get_long() == Some(flag));
        found.is_some_and(|argument| argument.get_action().takes_values())
    };
    // `--run NAME` in place of the only word that the verb takes.
    let names_run = {
        let mut positionals = command.get_positionals().map(|argument| argument.get_id().as_str());
        !has("run") && positionals.next() == Some("run") && positionals.next().is_none()
    };
    let words: Vec<OsString> = match words[..end].iter().position(|word| word == "--run") {
        Some(at) if names_run && at + 1 < end => [&words[..at], &words[at + 1..]].concat(),
        _ => words,
    };
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let full = |index: usize, word: &OsStr| -> Option<OsString> {
        let word = word.to_str().filter(|_| (1..end).contains(&index) && !takes_value(words.get(index - 1)))?;
        match word {
            _ if names_run && word.starts_with("--run=") => word.strip_prefix("--run=").map(OsString::from),
            "--json" if !has("json") => Some("--output=json".into()),
            "--no-color" | "--no-colour" | "--nocolor" => Some("--color=never".into()),
            "-o" if !has_o => Some("--output".into()),
            _ if !has_o && !word.starts_with("--") => {
                Some(format!("--output={}", word.strip_prefix("-o")?.trim_start_matches('=')).into())
            }
            _ => None,
        }
    };
    words.iter().enumerate().map(|(index, word)| full(index, word).unwrap_or_else(|| word.clone())).collect()
}

#[cfg(test)]
pub(super) fn table() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    COMMANDS.iter().flat_map(|(known, full)| known.iter().map(|word| (*word, *full)))
}
