//! Verbs that people try, and the one that does it here.

use std::path::Path;

use crate::drive::mistakes::{Shape, from_script, shape_of};
use crate::drive::workflow_source::find;
use stepwell_base::shell;

/// Words that are no verb, and the answer. Every command in it parses: a test tries them all.
const VERBS: &[(&[&str], &str)] = &[
    (
        &["train", "fit", "pretrain", "finetune", "learn"],
        "`stepwell start-training notes.txt` trains a model on a text of yours",
    ),
    (
        &["start", "launch", "execute", "exec"],
        "`stepwell run FILE` runs a workflow, `stepwell start-training` trains a model",
    ),
    (
        &["submit", "enqueue", "sbatch"],
        "`stepwell run FILE --detach` submits a run; `stepwell worker` runs what is submitted",
    ),
    (
        &["server", "daemon", "engine", "agent", "ui", "web", "api", "page", "dashboard"],
        "`stepwell serve` shows a page and runs everything that is submitted; `stepwell worker` does so without a page",
    ),
    (
        &["login", "auth", "apikey", "api-key", "password"],
        "`stepwell token code` logs a browser in, `stepwell token create NAME` is for scripts",
    ),
    (
        &["continue", "restart", "unpause", "go", "recover"],
        "`stepwell resume RUN` continues a run; `stepwell rerun RUN --from-step STEP` repeats a part of it",
    ),
    (
        &["stop", "kill", "abort", "terminate", "end"],
        "`stepwell cancel RUN` stops a run for good, `stepwell pause RUN` until it is resumed",
    ),
    (
        &["interrupt", "suspend", "hold"],
        "`stepwell pause RUN` stops a run at a checkpoint; `stepwell resume RUN` continues it",
    ),
    (
        &["remove", "del", "drop", "purge", "erase"],
        "`stepwell rm RUN` removes a run; `stepwell gc --dry-run` shows which old runs `stepwell gc` would remove",
    ),
    (
        &["clean", "cleanup"],
        "`stepwell gc` removes old runs, `stepwell gc --dry-run` shows which; `stepwell rm RUN` removes one",
    ),
    (&["pin", "protect", "star", "lock"], "`stepwell keep RUN` keeps a run from being removed"),
    (&["comment", "annotate", "notes"], "`stepwell note RUN TEXT` writes a note about a run"),
    (&["label", "tags", "labels"], "`stepwell tag RUN TAG` marks a run"),
    (&["ps", "runs", "jobs", "history", "queue", "squeue", "top"], "`stepwell list` shows the runs"),
    (
        &["info", "inspect", "describe", "get", "params", "values"],
        "`stepwell show RUN` shows a run with its params and values",
    ),
    (
        &["diff", "vs", "versus", "best"],
        "`stepwell compare RUN RUN` compares params, values and metrics; `stepwell list --sort VALUE` puts the best first",
    ),
    (
        &["plot", "curve", "chart", "loss", "graph", "metric", "curves", "losses"],
        "`stepwell metrics RUN` draws the loss; `stepwell metrics RUN --csv` prints every metric",
    ),
    (
        &["tensorboard", "wandb", "mlflow"],
        "`stepwell metrics RUN` draws the loss in the terminal; `stepwell metrics RUN --csv` prints every metric for other tools",
    ),
    (&["checkpoint", "ckpt", "ckpts", "snapshots"], "`stepwell checkpoints RUN` lists the checkpoints of a run"),
    (
        &["tail", "log", "stdout", "print"],
        "`stepwell logs RUN STEP` prints what a program printed, `stepwell logs RUN -f` follows it",
    ),
    (&["follow", "attach", "monitor", "progress", "wait"], "`stepwell watch RUN` follows a run"),
    #[cfg(feature = "train")]
    (
        &["chat", "sample", "predict", "infer", "inference", "prompt", "complete"],
        "`stepwell generate -p TEXT` continues a text with a trained model",
    ),
    (
        &["export", "download", "save", "pull"],
        "a training exports its model by itself: `stepwell show RUN` names it; `stepwell artifact get RUN/STEP/NAME FILE` copies any output",
    ),
    (
        &["eval", "evaluate", "test", "score"],
        "a training evaluates its model by itself: `stepwell show RUN` prints the values",
    ),
    (&["outputs", "artifacts", "files"], "`stepwell artifact ls RUN` lists what a run produced"),
    (
        &["init", "new", "create", "scaffold", "template"],
        "`stepwell workflow new` writes a workflow to start from; `stepwell workflow new --from train.py` writes one for a script",
    ),
    (&["validate", "lint", "check"], "`stepwell workflow validate FILE` checks a workflow"),
    (&["workflows", "recipes"], "`stepwell workflow list` shows the workflows"),
    (&["dag", "tree", "dot"], "`stepwell workflow graph FILE` draws a workflow"),
    (&["branch", "clone", "copy"], "`stepwell fork RUN --at STEP` starts a new run from a part of an earlier one"),
    (
        &["sweep", "grid", "tune", "search"],
        "`for_each` in a workflow runs a step once per value: `stepwell workflow new` writes an example",
    ),
    (
        &["cron", "at", "timer"],
        "`stepwell schedule add NAME --cron CRON FILE` starts a workflow by the clock; `0 3 * * *` is at 3 every night",
    ),
    (
        &["backup", "restore", "migrate"],
        "`stepwell db backup FOLDER` copies the state, `stepwell db restore FOLDER` puts a copy back",
    ),
    (&["why", "reason"], "`stepwell explain RUN STEP` says why a step ran, was reused, or waits"),
    #[cfg(feature = "train")]
    (
        &["models", "presets"],
        "`stepwell model describe quickstart` describes a model; the others are tiny, small and deep60",
    ),
    (&["version"], "`stepwell --version` prints the version"),
    (&["settings"], "`stepwell config show --origin` prints the settings"),
    (&["devices", "gpu", "gpus", "system"], "`stepwell doctor` describes this machine"),
    (
        &["reject", "accept", "answer"],
        "`stepwell approve RUN STEP` answers a step that waits for a person; `--reject` says no",
    ),
    (
        &["workflow init", "workflow create", "workflow write", "workflow add", "workflow template"],
        "`stepwell workflow new` writes a workflow to start from",
    ),
    (&["workflow run", "workflow start", "workflow submit"], "`stepwell run FILE` runs a workflow"),
    (&["workflow check", "workflow lint", "workflow test"], "`stepwell workflow validate FILE` checks a workflow"),
    (
        &["workflow params", "workflow describe", "workflow cat", "workflow info", "workflow print"],
        "`stepwell workflow show FILE` shows a workflow",
    ),
    (&["workflow ls"], "`stepwell workflow list` shows the workflows"),
    (
        &["workflow dot", "workflow draw", "workflow plot", "workflow dag"],
        "`stepwell workflow graph FILE` draws a workflow",
    ),
    (&["artifact list"], "`stepwell artifact ls RUN` lists what a run produced"),
    (
        &["artifact cat", "artifact print", "artifact view", "artifact open"],
        "`stepwell artifact show RUN/STEP/NAME` prints an output",
    ),
    (
        &["artifact download", "artifact copy", "artifact cp", "artifact export", "artifact save"],
        "`stepwell artifact get RUN/STEP/NAME FILE` copies an output",
    ),
    (
        &["schedule create", "schedule new"],
        "`stepwell schedule add NAME --cron CRON FILE` starts a workflow by the clock; `0 3 * * *` is at 3 every night",
    ),
    (&["schedule delete", "schedule rm", "schedule cancel"], "`stepwell schedule remove NAME` removes a schedule"),
    (&["schedule stop", "schedule disable"], "`stepwell schedule pause NAME` pauses a schedule"),
    (&["schedule start", "schedule enable"], "`stepwell schedule resume NAME` continues a schedule"),
    #[cfg(feature = "train")]
    (
        &["model list", "model ls", "model show", "model info", "model presets"],
        "`stepwell model describe quickstart` describes a model; the others are tiny, small and deep60",
    ),
    (
        &["config get", "config list", "config ls", "config print"],
        "`stepwell config show --origin` prints the settings",
    ),
    (&["db verify", "db validate"], "`stepwell db check` checks the state"),
    (&["db dump", "db save", "db copy"], "`stepwell db backup FOLDER` copies the state"),
    (&["db load", "db import"], "`stepwell db restore FOLDER` puts a copy back"),
];

/// Answers a word that is no verb below `parent`, which is empty for the program itself.
pub fn verb(parent: &str, word: &str) -> Option<&'static str> {
    let word = word.to_lowercase();
    let asked = if parent.is_empty() { word } else { format!("{parent} {word}") };
    VERBS.iter().find(|(words, _)| words.contains(&asked.as_str())).map(|(_, answer)| *answer)
}

/// Answers a file, a folder or the name of a workflow in place of a verb.
pub fn path(word: &str) -> Option<String> {
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
