//! Words that are no verb, and the answer. What can mean only one thing is in `shorthand`.

/// Every command in an answer parses: a test tries them all.
pub(super) const VERBS: &[(&[&str], &str)] = &[
    (
        &["fit", "finetune", "fine-tune", "learn"],
        "`stepwell start-training notes.txt` trains a model on a text of yours",
    ),
    (
        &["start", "launch", "execute", "exec", "build", "make", "create"],
        "`stepwell run FILE` runs a workflow, `stepwell start-training` trains a model",
    ),
    (
        &["server", "daemon", "engine", "agent", "ui", "web", "api", "page", "dashboard", "open", "browse"],
        "`stepwell serve` shows a page and runs everything that is submitted; `stepwell worker` does so without a page",
    ),
    (
        &["login", "auth", "apikey", "api-key", "password", "whoami"],
        "`stepwell token code` logs a browser in, `stepwell token create NAME` is for scripts",
    ),
    (
        &["continue", "restart", "unpause", "go", "recover", "requeue"],
        "`stepwell resume RUN` continues a run; `stepwell rerun RUN --from-step STEP` repeats a part of it",
    ),
    (
        &["stop", "kill", "abort", "terminate", "end"],
        "`stepwell cancel RUN` stops a run for good, `stepwell pause RUN` until it is resumed; Ctrl-C ends a worker, and \
         `stepwell doctor` names its process",
    ),
    (
        &["interrupt", "suspend", "hold"],
        "`stepwell pause RUN` stops a run at a checkpoint; `stepwell resume RUN` continues it",
    ),
    (
        &["remove", "del", "drop", "purge", "erase", "rmi", "archive"],
        "`stepwell rm RUN` removes a run; `stepwell gc --dry-run` shows which old runs `stepwell gc` would remove",
    ),
    (
        &["clean", "cleanup"],
        "`stepwell gc` removes old runs, `stepwell gc --dry-run` shows which; `stepwell rm RUN` removes one",
    ),
    (
        &["du", "df", "disk", "usage", "size"],
        "`stepwell gc --dry-run --keep-runs 0` names every ended run with its size, and removes nothing; `stepwell doctor` \
         shows the disk",
    ),
    (
        &["fsck", "verify"],
        "`stepwell db check` checks the database, `stepwell artifact verify` the content of every artifact",
    ),
    (
        &["tags", "labels", "untag"],
        "`stepwell tag RUN TAG` marks a run, `stepwell tag RUN --remove TAG` takes the mark back",
    ),
    (&["notes"], "`stepwell note RUN TEXT` writes a note about a run, `stepwell note RUN` prints it"),
    (
        &["rename", "mv"],
        "a run keeps its name: `stepwell tag RUN TAG` and `stepwell note RUN TEXT` say more about it; `--name` names a new one",
    ),
    (
        &["top", "stats"],
        "`stepwell watch RUN` shows the speed and the time left of a run; `stepwell list` shows the runs",
    ),
    (
        &["get", "params", "values", "config-of", "results"],
        "`stepwell show RUN` shows a run with its params and values",
    ),
    (
        &["best", "leaderboard", "ranking", "experiments", "exp", "experiment"],
        "`stepwell list --sort STEP.VALUE` puts the best run first; `stepwell compare RUN RUN` compares params, values and metrics",
    ),
    (
        &["chart", "graph"],
        "`stepwell metrics RUN` draws the loss; `stepwell workflow graph FILE` draws the steps of a workflow",
    ),
    (
        &["export-metrics", "csv", "dump"],
        "`stepwell metrics RUN --csv` prints every metric as CSV, `stepwell metrics RUN --json` as JSON",
    ),
    (
        &["tensorboard", "tb", "wandb", "mlflow", "sync"],
        "`tensorboard --logdir state/tensorboard` works while a run trains; `stepwell metrics RUN --tensorboard FOLDER` writes \
         event files, and `stepwell metrics RUN --csv` prints every metric for other tools",
    ),
    (
        &["print", "cat", "tee"],
        "`stepwell logs RUN STEP` prints what a program printed, `stepwell logs RUN -f` follows it",
    ),
    #[cfg(feature = "train")]
    (
        &["sample", "predict", "infer", "inference", "prompt", "complete"],
        "`stepwell generate -p TEXT` continues a text with a trained model; `stepwell chat --model MODEL` talks with any model, \
         `stepwell batch FILE --model MODEL -o OUT` answers a file of prompts",
    ),
    #[cfg(not(feature = "train"))]
    (
        &["sample", "predict", "infer", "inference", "prompt", "complete", "generate"],
        "`stepwell chat --model MODEL` talks with a model, `stepwell batch FILE --model MODEL -o OUT` answers a file of prompts; \
         a build with training also has `generate`",
    ),
    (
        &["import", "model pull", "model download", "model get", "model add", "model load", "model create"],
        "`stepwell model import PATH` reads a Hugging Face folder or a GGUF file, which `hf download OWNER/NAME --local-dir \
         FOLDER` gets; `stepwell start-training TEXT` trains on a text of yours",
    ),
    (
        &["model export", "model save", "model convert", "model push"],
        "a training exports its model by itself: `stepwell show RUN` names the folder, `stepwell artifact get RUN/STEP/NAME \
         FOLDER` copies any output",
    ),
    (
        &["model rm", "model remove", "model delete"],
        "models go with their runs: `stepwell rm RUN` removes a run; exported folders are yours to delete",
    ),
    (
        &["trace", "debug", "diagnose"],
        "`stepwell explain RUN` says why a step ran or waits, `stepwell logs RUN STEP` what it printed",
    ),
    (
        &["export", "download", "save", "pull", "fetch", "cp"],
        "a training exports its model by itself: `stepwell show RUN` names it; `stepwell artifact get RUN/STEP/NAME FILE` copies any output",
    ),
    (
        &["eval", "evaluate", "test", "score"],
        "a training evaluates its model by itself: `stepwell show RUN` prints the values",
    ),
    (&["files"], "`stepwell artifact ls RUN` lists what a run produced"),
    (
        &["lineage", "blame", "origin"],
        "`stepwell artifact provenance RUN/STEP/NAME` proves where a result comes from; `stepwell show RUN` says which run it \
         was forked from",
    ),
    (
        &["init", "new", "scaffold", "template", "add", "edit"],
        "`stepwell workflow new` writes a workflow to start from; `stepwell workflow new --from train.py` writes one for a script",
    ),
    (
        &["check"],
        "`stepwell workflow validate FILE` checks a workflow, `stepwell db check` the state, `stepwell doctor` the machine",
    ),
    (&["dag", "tree", "dot"], "`stepwell workflow graph FILE` draws a workflow"),
    (
        &["branch", "clone", "copy", "checkout", "revert"],
        "`stepwell fork RUN --at STEP` starts a new run from a part of an earlier one",
    ),
    (
        &["sweep", "grid", "tune", "search", "hyperopt"],
        "`for_each` in a workflow runs a step once per value: `stepwell workflow new` writes an example",
    ),
    (
        &["cron", "at", "timer", "every"],
        "`stepwell schedule add NAME --cron CRON FILE` starts a workflow by the clock; `0 3 * * *` is at 3 every night",
    ),
    (&["restore", "migrate"], "`stepwell db restore FOLDER` puts a copy back that `stepwell db backup FOLDER` made"),
    (
        &["approvals", "waits", "pending", "inbox", "todo"],
        "`stepwell list` shows what runs wait for, `stepwell approve` what a person can answer",
    ),
    #[cfg(feature = "train")]
    (
        &["presets", "model presets"],
        "`stepwell model describe quickstart` describes a model; the others are tiny, small and deep60",
    ),
    (&["upgrade", "update", "install"], "`cargo install --path .` in the folder of the source installs a newer build"),
    (
        &["secret", "secrets", "env", "environment"],
        "`[secrets]` in a workflow names values that are never kept, `with = { env = { NAME = \"value\" } }` the variables of a \
         step: `stepwell workflow new` writes an example",
    ),
    (
        &["reject", "accept", "answer", "deny", "confirm"],
        "`stepwell approve RUN STEP` answers a step that waits for a person; `--reject` says no",
    ),
    (
        &["notify", "notification", "notifications", "alert", "alerts"],
        "the settings `[notify]` and `[[webhook]]` in `stepwell.toml` tell of the end of a run: \
         `command = [\"notify-send\", \"Stepwell\"]` below `[notify]`; `stepwell config show` prints the settings",
    ),
    (
        &["events", "event"],
        "`stepwell watch RUN` prints the events of a run as they come, `stepwell watch RUN --output json` for scripts",
    ),
    (&["send", "trigger"], "`stepwell signal RUN NAME` sends a signal to a run; `stepwell run FILE` starts a workflow"),
    (
        &["slots", "pools", "pool", "scale"],
        "`stepwell doctor` shows slots and pools; `slots` and `[pools]` in `stepwell.toml` set them",
    ),
    (
        &["workflow write", "workflow add", "workflow template", "workflow edit"],
        "`stepwell workflow new` writes a workflow to start from",
    ),
    (
        &["workflow rm", "workflow delete", "workflow remove"],
        "a workflow is a file: delete that; `stepwell rm RUN` removes a run",
    ),
    (
        &["artifact open"],
        "`stepwell artifact show RUN/STEP/NAME` prints an output, `stepwell artifact get RUN/STEP/NAME FILE` copies it",
    ),
    (
        &["artifact rm", "artifact delete", "artifact remove"],
        "outputs go with their runs: `stepwell rm RUN` removes a run",
    ),
    (
        &["artifact put", "artifact add", "artifact upload", "artifact push"],
        "outputs come from steps: a `command` declares `outputs`",
    ),
    (
        &["schedule cancel"],
        "`stepwell schedule remove NAME` removes a schedule, `stepwell schedule pause NAME` pauses it",
    ),
    (
        &["schedule start", "schedule run", "schedule trigger", "schedule fire", "schedule now"],
        "`stepwell run FILE` starts a workflow now, `stepwell schedule resume NAME` continues a schedule",
    ),
    (
        &["schedule edit", "schedule update", "schedule set"],
        "`stepwell schedule remove NAME`, then `stepwell schedule add NAME --cron CRON FILE`",
    ),
    (
        &["models", "model list", "model ls", "model show", "model info"],
        "a model is a Hugging Face folder, a GGUF file, or a run that trained or imported one: `stepwell chat --model RUN`; \
         `stepwell list --workflow import-model` lists the imported ones",
    ),
    (
        &["config set", "config edit", "config add", "config unset", "config init"],
        "settings are lines of `stepwell.toml`, such as `slots = 4`; `stepwell config show --origin` prints them",
    ),
    (&["db load", "db import"], "`stepwell db restore FOLDER` puts a copy back"),
    (&["db repair", "db fix", "db recover"], "`stepwell db check` says what is wrong and how to repair it"),
    (
        &["db migrate", "db upgrade", "db init"],
        "a newer build upgrades the database by itself; `stepwell db backup FOLDER` copies it before",
    ),
    (
        &["reset", "wipe", "nuke", "db reset", "db drop", "db clear", "db delete"],
        "stop the worker, then the shell's `rm -r state` deletes everything but exported models; `stepwell gc --keep-runs 0` \
         removes all ended runs that are not kept",
    ),
    (
        &["worker status", "worker list", "worker ls", "worker ps"],
        "`stepwell doctor` names the engine that runs here, with its slots and pools; `stepwell list` shows the runs",
    ),
    (
        &["worker stop", "worker kill", "worker restart"],
        "Ctrl-C in its terminal, or `kill` with the process that `stepwell doctor` names, ends a worker: its steps write a \
         checkpoint",
    ),
    (
        &["plan", "preview"],
        "`stepwell workflow validate FILE` checks a workflow without running it, `stepwell workflow graph FILE` draws it",
    ),
    (
        &["crontab"],
        "`stepwell schedule list` lists the schedules, `stepwell schedule add NAME --cron CRON FILE` adds one",
    ),
    (&["db vacuum", "db prune", "db gc"], "`stepwell gc` removes old runs and files that nothing refers to"),
];
