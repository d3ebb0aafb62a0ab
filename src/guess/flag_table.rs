//! Flags that people try and that are no params, and the answer.

/// Flags of any verb. An answer counts only for a verb that has the flags which it names.
pub(super) const FLAGS: &[(&[&str], &str)] = &[
    (
        &["output-dir", "out", "out-dir", "save-dir", "checkpoint-dir", "logdir", "log-dir", "project", "root"],
        "`--state-dir DIR` chooses where everything is kept, `--export-dir DIR` where trained models are copied",
    ),
    (&["resume", "continue", "from-checkpoint", "resume-from-checkpoint"], "`stepwell resume RUN` continues a run"),
    (
        &["background", "daemon", "async", "no-wait", "bg", "no-follow"],
        "`--detach` only submits the run; `stepwell worker` runs it",
    ),
    (&["dry-run", "check", "validate"], "`stepwell workflow validate FILE` checks a workflow without running it"),
    (
        &[
            "force",
            "fresh",
            "no-cache",
            "rerun",
            "overwrite",
            "always-make",
            "forceall",
            "force-all",
            "forcerun",
            "F",
            "R",
        ],
        "`--no-reuse` runs every step, even one that has succeeded before",
    ),
    (
        &["params", "arg", "args", "override", "var", "option"],
        "`--set NAME=VALUE` sets a param, `-S` for short; `stepwell workflow show NAME` explains them",
    ),
    (&["run-name", "job-name", "experiment", "experiment-name", "title"], "`--name NAME` names the run"),
    (&["config", "file", "workflow", "recipe", "filename"], "name the file without a flag: `stepwell run FILE`"),
    (&["num-tokens", "tokens", "length", "max-length"], "`--max-new-tokens N` limits the text, `-n` for short"),
    (
        &["every", "interval", "when", "expression", "schedule"],
        "`--cron EXPRESSION` says when: `--cron '0 3 * * *'` is at 3 every night",
    ),
    (&["temp"], "`--temperature NUMBER` sets it, `-t` for short"),
    (
        &["verbose", "v", "vv", "debug", "show-output"],
        "`--logs` shows everything that commands print; the variable `STEPWELL_LOG=debug` shows what Stepwell does",
    ),
    (&["silent"], "`--quiet` prints errors only, `-q` for short"),
    (&["full", "no-trunc", "wide", "long", "raw", "yaml"], "`--output json` prints everything in full"),
];

/// Flags of some verbs, which come before the others.
pub(super) const OF_VERBS: &[(&[&str], &[&str], &str)] = &[
    (&["run", "start-training"], &["n"], "`stepwell workflow validate FILE` checks a workflow without running it"),
    (
        &["run", "start-training"],
        &["B", "k", "keep-going", "rerun-incomplete", "ignore-errors"],
        "`--no-reuse` runs every step; a step that fails does not stop those that do not need it",
    ),
    (
        &["run", "start-training", "schedule add"],
        &["P", "p", "D"],
        "`--set NAME=VALUE` sets a param, `-S` for short; `stepwell workflow show NAME` explains them",
    ),
    (&["run", "start-training"], &["J"], "`--name NAME` names the run"),
    (
        &["run", "start-training"],
        &["C", "chdir", "cwd", "workdir"],
        "scripts are found from the folder of the workflow file: `stepwell run FOLDER/FILE`",
    ),
    (&["run"], &["f"], "name the file without a flag: `stepwell run FILE`"),
    (
        &["run", "start-training", "worker", "serve", "resume", "retry", "rerun", "fork"],
        &["jobs", "j", "workers", "num-workers", "parallel", "concurrency", "slots", "max-parallel", "c", "cores"],
        "the setting `slots` is the number of steps at once: the variable `STEPWELL_SLOTS=4` for one command, or `slots = 4` in \
         `stepwell.toml`",
    ),
    (
        &["run", "start-training", "resume", "retry", "rerun", "fork"],
        &["watch", "w", "wait", "follow", "progress"],
        "it waits for the end and shows progress by itself; `stepwell watch RUN` does so from another terminal",
    ),
    (
        &["run", "start-training"],
        &["only", "until", "target", "step", "steps-only", "from-step", "start-at"],
        "`--skip STEP` leaves steps out; `stepwell rerun RUN --from-step STEP` repeats a part of an earlier run",
    ),
    (
        &["run", "start-training"],
        &["note", "notes", "message", "m", "description"],
        "`stepwell note RUN TEXT` writes a note about a run, at any time",
    ),
    (
        &["run", "start-training"],
        &["env", "e", "env-file"],
        "a step has variables: `with = { env = { SEED = \"1\" }, .. }`; programs also have those of the command that starts them",
    ),
    (
        &["run"],
        &["gpus", "gpu", "gres", "cpus", "mem", "memory"],
        "a step asks for its share: `resources = { gpu = 1 }`, of what `[pools]` in `stepwell.toml` names",
    ),
    (
        &["run"],
        &["retries", "retry", "restart", "max-retries"],
        "a step says how often it is tried: `retry = 3` counts the first attempt, too",
    ),
    (
        &["run"],
        &["timeout", "time", "time-limit"],
        "a step says how long an attempt may take: `timeout = \"30m\"`; `[budget]` limits a whole run",
    ),
    (
        &["run"],
        &["rm", "cleanup"],
        "`stepwell rm RUN` removes a run; `[retention]` in `stepwell.toml` does so by rules",
    ),
    (
        &["rm"],
        &["all", "everything", "a"],
        "`stepwell gc --keep-runs 0` removes every ended run that is not kept, `stepwell gc --keep-runs 0 --dry-run` shows which",
    ),
    (
        &["rm"],
        &["older-than", "before", "days", "max-age", "until", "keep-days"],
        "`stepwell gc --keep-days 30` removes runs that ended more than 30 days ago, with `--dry-run` it only names them",
    ),
    (
        &["rm"],
        &["canceled", "status", "workflow", "tag"],
        "name the runs: `stepwell list --status canceled` shows them; `stepwell rm --failed` removes those that failed",
    ),
    (
        &["rm"],
        &["force", "yes", "y", "recursive", "f", "r", "rf"],
        "`stepwell rm RUN` asks nothing; `stepwell cancel RUN` ends a run before",
    ),
    (
        &["rm", "gc"],
        &[
            "keep-checkpoints",
            "keep-models",
            "keep-outputs",
            "keep-logs",
            "keep-metrics",
            "checkpoints",
            "logs",
            "only-logs",
        ],
        "outputs, checkpoints and logs go together; `stepwell artifact get RUN/STEP/NAME FILE` copies an output before, and \
         exported models stay",
    ),
    (
        &["gc"],
        &["force", "f", "yes", "y", "aggressive", "prune"],
        "`stepwell gc` asks nothing; `--dry-run` shows what it would remove",
    ),
    (
        &["gc"],
        &["older-than", "before", "max-age", "until"],
        "`--keep-days 30` removes runs that ended more than 30 days ago",
    ),
    (
        &["gc"],
        &["keep-tagged", "tag", "keep-failed", "keep-running"],
        "`stepwell keep RUN` keeps a run whatever the rules say; `--keep-runs N` keeps the newest, `--keep-best N` the best",
    ),
    (
        &["resume"],
        &["all", "a"],
        "`stepwell worker` continues every run that has not ended; `stepwell list` shows them",
    ),
    (
        &["show", "logs", "metrics", "watch", "explain", "report", "resume", "samples", "checkpoints"],
        &["last", "latest", "newest"],
        "`last` is the newest run, in the place of RUN: `stepwell show last`",
    ),
    (
        &["watch"],
        &["interval", "n", "refresh", "delay"],
        "it shows what is new at once: `stepwell watch RUN`; `stepwell watch RUN --output json` is for scripts",
    ),
    (
        &["batch"],
        &["input", "input-file", "i", "file", "prompts", "requests", "data"],
        "name the file without a flag: `stepwell batch FILE --model MODEL -o OUT`",
    ),
    (
        &["model import"],
        &["path", "source", "from", "file", "dir", "model", "m"],
        "name it without a flag: `stepwell model import PATH`",
    ),
    (&["cancel"], &["all"], "one run at a time: `stepwell cancel RUN`; `stepwell list` shows the runs"),
    (
        &["cancel"],
        &["force", "f", "signal", "s", "now", "9", "yes", "y", "grace"],
        "`stepwell cancel RUN` sends SIGTERM to all processes of the run and kills those that are left soon after",
    ),
    (
        &["pause"],
        &["force", "now", "all"],
        "`stepwell pause RUN` stops one run at a checkpoint; `stepwell cancel RUN` ends it for good",
    ),
    (
        &["resume", "retry"],
        &["from-step", "from", "at", "checkpoint", "from-checkpoint", "train-step"],
        "a run continues where it stopped; `stepwell rerun RUN --from-step STEP` repeats a part, `stepwell fork RUN --at STEP` \
         starts at a checkpoint",
    ),
    (&["retry"], &["all", "failed"], "`stepwell retry RUN` tries every failed step again"),
    (&["tag"], &["add", "set", "a"], "`stepwell tag RUN TAG` adds a tag"),
    (
        &["tag"],
        &["list", "l"],
        "`stepwell tag RUN` prints the tags of a run, `stepwell list --tag TAG` the runs with a tag",
    ),
    (&["note"], &["message", "m", "text", "add", "set"], "the text is the second word: `stepwell note RUN TEXT`"),
    (
        &["metrics"],
        &["smooth", "smoothing", "log", "log-y", "log-scale", "logy", "ema", "window", "x", "xlim", "ylim"],
        "the curve is drawn as it was measured; `stepwell metrics RUN --csv` and `--tensorboard FOLDER` give the rows to tools \
         that smooth and scale",
    ),
    (
        &["metrics"],
        &["wandb", "mlflow", "export", "to-csv"],
        "`--csv` prints every metric for other tools: `stepwell metrics RUN --csv`",
    ),
    (
        &["metrics", "show", "list", "compare"],
        &["csv"],
        "`stepwell metrics RUN --csv` prints metrics as CSV; `--output json` prints everything else",
    ),
    (&["metrics"], &["save", "o", "out", "file"], "write it to a file: `stepwell metrics RUN --csv > metrics.csv`"),
    (
        &["list"],
        &["columns", "cols", "fields", "show", "select"],
        "`-S PARAM` adds a column with a param, `--sort STEP.VALUE` one with a value; `--output json` has everything",
    ),
    (&["list"], &["asc", "desc", "descending", "ascending"], "`--sort KEY` puts the best first, `--reverse` the worst"),
    (
        &["list"],
        &["failed", "running", "succeeded", "active", "open", "done"],
        "`--status failed` chooses runs by their status",
    ),
    (&["list"], &["tree", "children"], "child runs stand below the runs that started them: `stepwell list`"),
    (
        &["list"],
        &["name", "search", "grep", "query", "q"],
        "`--status`, `--workflow` and `--tag` choose runs; `stepwell list --all | grep TEXT` searches",
    ),
    (
        &["list", "show"],
        &["watch", "w", "follow", "f"],
        "`stepwell watch RUN` follows a run; `stepwell serve` shows all runs on a page",
    ),
    (
        &["show"],
        &["params", "param", "values", "steps", "config", "outputs", "full", "long", "verbose", "v"],
        "`stepwell show RUN --all` prints every param, value and output; `--output json` has everything",
    ),
    (&["show"], &["logs", "log"], "`stepwell logs RUN STEP` prints what a program printed"),
    (&["show"], &["metrics", "plot", "loss"], "`stepwell metrics RUN` draws the loss"),
    (
        &["show"],
        &["diff", "git"],
        "`stepwell compare RUN RUN` shows what differs; `--output json` has the Git state of a run",
    ),
    (
        &["compare"],
        &["diff", "changed", "params", "values", "metrics-only"],
        "`stepwell compare RUN RUN` shows what differs; `--all` also what is equal",
    ),
    (
        &["compare"],
        &["plot", "metrics", "curve", "curves", "chart", "loss", "metric", "sort", "by", "key"],
        "`stepwell list --sort STEP.VALUE` puts the best run first; `stepwell metrics RUN RUN` draws the curves of several runs over each other",
    ),
    (
        &["report"],
        &["open"],
        "it prints the name of the file that it wrote; `stepwell serve --open` opens a page in a browser",
    ),
    (&["report"], &["pdf", "format"], "a report is one HTML file, which a browser prints as PDF"),
    (&["logs"], &["full", "all", "a"], "`stepwell logs RUN` prints everything, of all steps and attempts"),
    (&["logs"], &["previous", "p"], "`--attempt N` chooses an attempt, the first is 1"),
    (
        &["logs"],
        &["timestamps", "t", "since", "until", "grep", "stderr", "stdout"],
        "a log has the bytes that the program wrote, both streams in one: `stepwell logs RUN STEP | grep TEXT`",
    ),
    #[cfg(feature = "train")]
    (
        &["generate"],
        &["num-samples", "samples", "count", "num-return-sequences"],
        "one text per call: another `--seed` gives another text; `stepwell batch FILE --model RUN -o OUT` answers many prompts",
    ),
    (
        &["resume"],
        &["here", "dir", "cwd", "workdir", "chdir", "path", "file", "workflow"],
        "a run keeps the folder of its workflow file: move the folder back, or run the workflow in its new place, where finished \
         steps are reused: `stepwell run FILE`",
    ),
    #[cfg(feature = "train")]
    (
        &["generate"],
        &["model", "run", "m", "checkpoint"],
        "name the run without a flag: `stepwell generate RUN -p TEXT`",
    ),
    (
        &["checkpoints"],
        &["best", "latest", "last"],
        "`stepwell checkpoints RUN` lists them, the newest and the best one are marked",
    ),
    (
        &["worker", "serve"],
        &["stop", "kill", "shutdown", "quit"],
        "Ctrl-C or `kill PID` ends it: its steps write a checkpoint, and the next engine resumes the runs; `stepwell doctor` \
         names its process",
    ),
    (
        &["worker"],
        &["once", "drain", "burst", "exit", "until-empty", "one-shot"],
        "`--exit-when-idle` ends it when nothing is left to do",
    ),
    (&["worker"], &["port", "listen", "host", "open", "ui"], "`stepwell serve` is a worker with a page"),
    (
        &["worker", "serve"],
        &["detach", "d", "daemon", "background", "daemonize"],
        "it stays in the foreground: `nohup stepwell worker &`, `tmux` or a service keeps it alive",
    ),
    (
        &["serve"],
        &["host", "public", "external", "hostname"],
        "`--listen ADDRESS:PORT` says where, such as `--listen 0.0.0.0:7878`",
    ),
    (
        &["serve"],
        &["no-auth", "auth", "password", "token"],
        "a code or a token is always needed: `stepwell token code` makes a code, `stepwell token create NAME` a token",
    ),
    (&["serve"], &["https", "ssl", "tls"], "`--tls-cert FILE --tls-key FILE` speaks HTTPS"),
    (
        &["artifact get"],
        &["force", "f", "overwrite"],
        "nothing is overwritten: remove the file first, or name another one",
    ),
    (&["artifact show"], &["full", "all"], "`stepwell artifact get RUN/STEP/NAME FILE` copies all of it"),
    (&["approve"], &["all"], "one step at a time: `stepwell approve` lists what waits for a person"),
    (&["workflow new"], &["out", "file", "name", "o"], "name the file without a flag: `stepwell workflow new FILE`"),
    (
        &["workflow new"],
        &["force", "f", "overwrite"],
        "nothing is overwritten: remove the file first, or name another one",
    ),
    (
        &["workflow graph"],
        &["png", "svg", "pdf", "view", "open", "render"],
        "Graphviz draws it: `stepwell workflow graph FILE | dot -Tsvg > graph.svg`",
    ),
    (&["token create"], &["name", "n", "for"], "name the token without a flag: `stepwell token create NAME`"),
    (&["schedule add"], &["name", "n"], "the name comes first: `stepwell schedule add NAME --cron '0 3 * * *' FILE`"),
    (
        &["smoke-test", "doctor"],
        &["gpu", "cuda", "cpu", "vulkan", "metal"],
        "`stepwell smoke-test --device cuda` tests a device; `stepwell doctor` says what there is",
    ),
    (&["chaos"], &["n", "times", "count", "number", "rounds"], "`--kills N` says how often"),
    (
        &["db backup"],
        &["out", "o", "to", "dir", "force"],
        "name a new folder without a flag: `stepwell db backup FOLDER`",
    ),
    (&["db check"], &["fix", "repair"], "`stepwell db check` says how to repair what it finds"),
    (&["config show"], &["all", "sources", "source"], "`--origin` also prints where each setting comes from"),
];

#[cfg(test)]
pub(super) fn answers() -> impl Iterator<Item = &'static str> {
    FLAGS.iter().map(|(_, answer)| *answer).chain(OF_VERBS.iter().map(|(_, _, answer)| *answer))
}
