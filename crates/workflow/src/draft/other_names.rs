//! Keys that people know from other systems, and what to write in their place.

use crate::document::{Data, Node};

/// A key of a step: its other names, and the answer.
const OF_STEP: &[(&[&str], &str)] = &[
    (
        &["type", "uses", "op", "operator", "task", "action", "module"],
        "`kind` says what a step is: `kind = \"command\"` runs a program; `stepwell workflow schema` lists all kinds",
    ),
    (
        &["if", "condition", "only_if", "run_if", "unless"],
        "write `when = \"params.NAME > 1\"`: without it, the step always runs",
    ),
    (
        &[
            "foreach",
            "matrix",
            "each",
            "loop",
            "with_items",
            "items",
            "map",
            "over",
            "array",
            "strategy",
            "sweep",
            "grid",
        ],
        "did you mean `for_each`? `for_each = \"params.seeds\"` runs the step once per element, which `{{ item }}` names",
    ),
    (
        &["working_dir", "workdir", "working_directory", "work_dir", "chdir", "dir"],
        "write `with = { cwd = \"FOLDER\", .. }`",
    ),
    (&["environment", "envs", "variables", "vars"], "write `with = { env = { SEED = \"1\" }, .. }`"),
    (
        &["output", "outs", "artifacts", "produces", "targets"],
        "write `with = { outputs = { model = \"model.pt\" }, .. }`",
    ),
    (
        &["input", "files", "sources", "reads"],
        "write `with = { inputs = [\"data.csv\"], .. }`: the step runs again when a file changes",
    ),
    (
        &["params", "parameters"],
        "params belong to the whole workflow: write `[params]` above the steps, and `{{ params.NAME }}` in a step",
    ),
    (&["secrets", "secret"], "write `[secrets]` above the steps, and `{{ secrets.NAME }}` in `env`, `argv` or `shell`"),
    (
        &["metrics", "metric", "plots"],
        "the program reports metrics itself: it appends lines such as `{\"step\": 1, \"loss\": 2.3}` to the file \
         `$STEPWELL_METRICS`",
    ),
    (
        &["values", "results"],
        "the program gives values itself: it writes one JSON object to the file `$STEPWELL_VALUES`",
    ),
    (
        &["checkpoint", "checkpoints", "checkpoint_every", "save_every"],
        "the program writes checkpoints itself; or it resumes from its own files: its working directory stays until the step \
         has succeeded",
    ),
    (
        &["cache", "no_cache", "always", "always_changed", "force", "reuse", "frozen"],
        "a step runs again when its arguments or inputs change; `stepwell run FILE --no-reuse` runs every step",
    ),
    (
        &["continue_on_error", "allow_failure", "ignore_errors", "on_failure", "on_error", "trigger_rule"],
        "a step that fails ends the run once its attempts are used up; a program that ends with exit code 0 has succeeded",
    ),
    (
        &["image", "container", "docker"],
        "steps run on this machine, without a container: write `argv = [\"docker\", \"run\", ..]`",
    ),
    (
        &["concurrency", "max_parallel", "parallelism", "slots", "jobs", "max_concurrency"],
        "`slots = 4` in `stepwell.toml` is the number of steps at once; a pool limits some of them: `resources = { gpu = 1 }`",
    ),
    (&["description", "comment", "doc", "desc"], "write a comment: `# ...`"),
    (
        &["schedule", "cron", "every", "on", "trigger"],
        "`stepwell schedule add NAME --cron '0 3 * * *' FILE` starts a workflow by the clock",
    ),
    (&["tag", "tags", "labels"], "`stepwell run FILE --tag TAG` marks the run"),
    (&["notify", "on_success", "on_exit"], "`[notify]` in `stepwell.toml` starts a program when a run ends"),
    (&["pool", "pools"], "write `resources = { gpu = 1 }`; `[pools]` in `stepwell.toml` says what there is"),
];

/// A key at the top of a file: its other names, and the answer.
const OF_WORKFLOW: &[(&[&str], &str)] = &[
    (
        &["steps", "task", "tasks", "job", "jobs", "stage", "stages", "node", "nodes", "pipeline"],
        "did you mean `[[step]]`? It starts a step, with `id` and `kind` below it",
    ),
    (
        &[
            "param",
            "parameters",
            "parameter",
            "vars",
            "variables",
            "args",
            "arguments",
            "config",
            "hyperparameters",
            "inputs",
            "defaults",
        ],
        "write `[params]`: `-S NAME=VALUE` overrides one, `{{ params.NAME }}` reads it",
    ),
    (&["output", "results", "artifacts"], "write `[outputs]`: what this workflow gives to a step that starts it"),
    (&["secret"], "write `[secrets]`"),
    (
        &["env", "environment"],
        "a step has variables: `with = { env = { SEED = \"1\" }, .. }`; `[secrets]` keeps values out of the state",
    ),
    (
        &["pool", "pools", "resources", "gpus", "gpu"],
        "the machine has pools, not the workflow: write `[pools]` and below it `gpu = [\"gpu:0\"]` into `stepwell.toml`, and \
         `resources = { gpu = 1 }` into a step",
    ),
    (
        &["rate_limit", "rate_limits"],
        "write `[rate_limits]` into `stepwell.toml`, and `rate_limit = \"NAME\"` into a step",
    ),
    (
        &[
            "slots",
            "concurrency",
            "max_parallel",
            "parallelism",
            "notify",
            "alerts",
            "retention",
            "log_limit",
            "state_dir",
            "export_dir",
        ],
        "this is a setting: write it into `stepwell.toml`; `stepwell config show --origin` lists all settings",
    ),
    (
        &["schedule", "schedules", "cron", "on", "trigger", "triggers"],
        "`stepwell schedule add NAME --cron '0 3 * * *' FILE` starts a workflow by the clock",
    ),
    (&["title", "id", "workflow", "workflow_name", "project"], "write `name = \"...\"`"),
    (&["desc", "doc", "comment", "about", "summary"], "write `description = \"...\"`"),
    (&["timeout", "deadline"], "write `[sla]` and below it `finish_within = \"8h\"`; a step has `timeout = \"30m\"`"),
    (
        &[
            "kind",
            "with",
            "needs",
            "for_each",
            "when",
            "retry",
            "retries",
            "priority",
            "depends_on",
            "argv",
            "cmd",
            "command",
            "run",
            "script",
        ],
        "this belongs to a step: write `[[step]]` above it",
    ),
    (&["version", "apiversion", "api_version", "schema"], "leave it out: there is one format"),
    (&["tag", "tags", "labels"], "`stepwell run FILE --tag TAG` marks the run"),
    (
        &["include", "import", "imports", "extends"],
        "a step runs another workflow: `kind = \"workflow\"`, `with = { workflow = \"other.toml\" }`",
    ),
];

/// An argument of a command: its other names, and the answer.
const OF_COMMAND: &[(&[&str], &str)] = &[
    (
        &["cmd", "command", "commands", "script", "run", "bash", "sh"],
        "write `shell = \"echo hello | wc\"`, or `argv = [\"python3\", \"train.py\"]`",
    ),
    (
        &["args", "arguments", "program", "exec", "entrypoint", "executable"],
        "write `argv = [\"python3\", \"train.py\"]`: the program and its arguments",
    ),
    (&["environment", "envs", "vars", "variables"], "write `env = { SEED = \"1\" }`"),
    (&["working_dir", "workdir", "working_directory", "work_dir", "chdir", "dir"], "write `cwd = \"FOLDER\"`"),
    (&["output", "outs", "artifacts", "produces"], "write `outputs = { model = \"model.pt\" }`"),
    (
        &["input", "files", "deps", "sources"],
        "write `inputs = [\"data.csv\"]`: the step runs again when a file changes",
    ),
];

/// Arguments of commands that people write beside `with`.
const ARGUMENTS: [&str; 9] = ["run", "argv", "shell", "script", "command", "env", "cwd", "inputs", "outputs"];

/// Answers a key that a step lacks.
pub(super) fn in_step(key: &str, value: &Node) -> Option<String> {
    let name = key.to_lowercase().replace('-', "_");
    let json = || value.to_json().to_string();
    let number = || value.to_json().as_u64();
    Some(match name.as_str() {
        "command" | "script" | "cmd" | "exec" | "entrypoint" | "program" | "bash" | "sh" => command(value),
        "args" | "arguments" => {
            "write `with = { argv = [\"python3\", \"train.py\"] }`: the program and its arguments".to_owned()
        }
        "outputs" => "write `with = { outputs = { model = \"model.pt\" }, .. }`".to_owned(),
        name if ARGUMENTS.contains(&name) => {
            format!("arguments of the kind belong into `with`: write `with = {{ {name} = .. }}`")
        }
        "depends_on" | "dependson" | "depends" | "dependencies" | "deps" | "after" | "requires" | "upstream"
        | "need" | "wait_for" => match &value.data {
            Data::List(_) => format!("write `needs = {}`", json()),
            Data::Text(_) => format!("write `needs = [{}]`", json()),
            _ => "write `needs = [\"STEP\"]`".to_owned(),
        },
        "retries" | "max_retries" | "retry_count" | "restarts" => match number() {
            Some(retries) => format!("write `retry = {}`: it counts the first attempt, too", retries.saturating_add(1)),
            None => "write `retry = 3`: it counts the first attempt, too".to_owned(),
        },
        "attempts" | "max_attempts" | "maximum_attempts" | "tries" | "retry_policy" => {
            format!("write `retry = {}`: attempts in all", number().unwrap_or(3))
        }
        "gpu" | "gpus" | "num_gpus" | "n_gpus" | "gres" | "accelerator" | "accelerators" => format!(
            "write `resources = {{ gpu = {} }}`, and `[pools]` with `gpu = [\"gpu:0\"]` in `stepwell.toml`",
            number().unwrap_or(1)
        ),
        "cpu" | "cpus" | "cores" | "threads" | "cpus_per_task" => format!(
            "write `resources = {{ cpu = {} }}`, and `[pools]` with `cpu = 16` in `stepwell.toml`",
            number().unwrap_or(1)
        ),
        "memory" | "mem" | "ram" => {
            "write `resources = { memory = \"8GiB\" }`, and `[pools]` with `memory = \"64GiB\"` in `stepwell.toml`"
                .to_owned()
        }
        "timeout_seconds" | "time_limit" | "timelimit" | "max_time" | "walltime" | "time" | "deadline"
        | "max_runtime" => match &value.data {
            Data::Text(_) | Data::Number(_) => format!("write `timeout = {}`", json()),
            _ => "write `timeout = \"30m\"`".to_owned(),
        },
        "name" | "step" | "key" | "title" | "label" => match &value.data {
            Data::Text(_) => format!("write `id = {}`", json()),
            _ => "write `id = \"NAME\"`".to_owned(),
        },
        name => return answer(OF_STEP, name),
    })
}

/// Answers a key that a workflow lacks.
pub(super) fn in_workflow(key: &str) -> Option<String> {
    answer(OF_WORKFLOW, &key.to_lowercase().replace('-', "_"))
}

/// Answers an argument that a command lacks. `step_keys` are the keys beside `with`.
pub(crate) fn in_command(key: &str) -> Option<String> {
    let name = key.to_lowercase().replace('-', "_");
    let reports =
        ["metrics", "values", "checkpoint", "checkpoints", "checkpoint_every", "image", "container", "secrets"];
    answer(OF_COMMAND, &name).or_else(|| if reports.contains(&&*name) { answer(OF_STEP, &name) } else { None })
}

fn answer(table: &[(&[&str], &str)], name: &str) -> Option<String> {
    table.iter().find(|(names, _)| names.contains(&name)).map(|(_, answer)| (*answer).to_owned())
}

/// The line for a command that is written beside `with`.
fn command(value: &Node) -> String {
    const LONGEST: usize = 80;
    let text = value.to_json().to_string();
    match &value.data {
        Data::Text(_) if text.len() <= LONGEST => format!("write `with = {{ shell = {text} }}`"),
        Data::List(_) if text.len() <= LONGEST => format!("write `with = {{ argv = {text} }}`"),
        _ => "write `with = { argv = [\"python3\", \"train.py\"] }` or `with = { shell = \"echo hello\" }`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_answer_per_place() {
        for table in [OF_STEP, OF_WORKFLOW, OF_COMMAND] {
            let mut names: Vec<&str> = table.iter().flat_map(|(names, _)| names.iter().copied()).collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count);
        }
    }
}
