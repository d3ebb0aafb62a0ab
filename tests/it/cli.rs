//! The command line: help, forms of output, exit codes.

use std::path::PathBuf;

use clap::{CommandFactory, Parser};

use crate::harness::Sandbox;

#[test]
fn help_shows_every_verb_and_the_long_help_of_one() {
    let sandbox = Sandbox::new();
    let help = sandbox.stepwell(&["--help"]).ok().stdout;
    let command = stepwell::Cli::command();
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        assert!(help.contains(&format!("\n  {} ", verb.get_name())), "{} is not in:\n{help}", verb.get_name());
    }
    let fork = sandbox.stepwell(&["fork", "--help"]).ok().stdout;
    assert!(fork.starts_with("Fork a run at a step") && fork.contains("--at <STEP[:TRAIN_STEP]>"), "{fork}");
}

#[test]
fn exit_codes_are_those_of_the_documentation() {
    let sandbox = Sandbox::new();
    sandbox.stepwell(&["no-such-verb"]).exits(2);
    sandbox.stepwell(&["run", "no-such-workflow"]).exits(6).says(&["no workflow `no-such-workflow`", "hint:"]);
    sandbox.stepwell(&["show", "last"]).exits(6);
    sandbox.stepwell(&["list"]).exits(6);
}

#[test]
fn errors_are_json_on_request() {
    let finished = Sandbox::new().stepwell(&["run", "no-such-workflow", "--output", "json"]).exits(6);
    let error: serde_json::Value = serde_json::from_str(finished.stderr.trim()).unwrap();
    assert_eq!(error["error"]["code"], "not_found");
    assert!(error["error"]["hint"].is_string());
    assert!(finished.stdout.is_empty());
}

#[test]
fn the_embedded_workflows_are_valid_and_listed() {
    let sandbox = Sandbox::new();
    let list = sandbox.stepwell(&["workflow", "list", "--output", "json"]).ok().json();
    let names: Vec<&str> = list["workflows"].as_array().unwrap().iter().map(|w| w["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"commands"));
    for name in names {
        sandbox.stepwell(&["workflow", "validate", name]).ok();
        let graph = sandbox.stepwell(&["workflow", "graph", name]).ok().stdout;
        assert!(graph.starts_with(&format!("digraph \"{name}\"")), "{graph}");
    }
    assert!(sandbox.stepwell(&["workflow", "schema"]).ok().json()["properties"]["step"].is_object());
}

#[test]
fn a_workflow_of_that_name_in_the_current_folder_wins() {
    let sandbox = Sandbox::new();
    sandbox.write("workflows/commands.toml", "name = \"mine\"\n[[step]]\nid = \"a\"\nkind = \"noop\"\n");
    sandbox.stepwell(&["run", "commands"]).ok();
    assert_eq!(sandbox.show()["run"]["workflow"], "mine");
}

#[test]
fn all_problems_of_a_workflow_are_reported_with_line_and_caret() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "bad.toml",
        "name = \"bad\"\n[[step]]\nid = \"a\"\nkind = \"comand\"\nneeds = [\"b\"]\n[[step]]\nid = \"c\"\nkind = \"noop\"\nneds = []\nwith = { values = \"{{ parms.x }}\" }\n",
    );
    sandbox
        .stepwell(&["workflow", "validate", "bad.toml"])
        .exits(2)
        .says(&["bad.toml", "comand", "`b`", "neds", "parms"]);
    assert!(!sandbox.state().exists(), "an invalid workflow leaves no state behind");
}

#[test]
fn show_prints_the_documented_json() {
    let sandbox = Sandbox::new();
    let run = sandbox.stepwell(&["run", "commands", "--output", "json"]).ok();
    let submitted: serde_json::Value = serde_json::from_str(run.stdout.lines().next().unwrap()).unwrap();
    let show = sandbox.show();
    assert_eq!(show["schema"], 1);
    assert_eq!(show["run"]["id"], submitted["run"]["id"]);
    assert_eq!(show["run"]["name"], "commands-1");
    assert_eq!(show["run"]["workflow"], "commands");
    assert_eq!(show["run"]["status"], "succeeded");
    let step = &show["steps"][0];
    assert_eq!((step["id"].as_str(), step["kind"].as_str()), (Some("make"), Some("command")));
    assert_eq!((step["status"].as_str(), step["attempts"].as_u64()), (Some("succeeded"), Some(1)));
    assert_eq!(step["outputs"]["numbers"]["digest"].as_str().unwrap().len(), 64);
    assert_eq!(step["outputs"]["numbers"]["size"], 3893);
}

#[test]
fn settings_come_from_flag_environment_and_file_in_that_order() {
    let sandbox = Sandbox::new();
    sandbox.write("stepwell.toml", "state_dir = \"from-file\"\n");
    let show = |args: &[&str], environment: bool| {
        let mut command = sandbox.command(&[&["config", "show", "--origin"], args].concat());
        if environment {
            command.env("STEPWELL_STATE_DIR", "from-environment");
        }
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(show(&[], false).contains("from-file"));
    assert!(show(&[], true).contains("from-environment"));
    assert!(show(&["--state-dir", "from-flag"], true).contains("from-flag"));
    sandbox.write("stepwell.toml", "state_dri = \"x\"\n");
    sandbox.stepwell(&["list"]).exits(2).says(&["state_dri", "stepwell.toml"]);
}

#[test]
fn completions_and_doctor_work_without_a_state_directory() {
    let sandbox = Sandbox::new();
    assert!(sandbox.stepwell(&["completions", "bash"]).ok().stdout.contains("start-training"));
    assert!(sandbox.stepwell(&["doctor"]).ok().stdout.contains("does not exist yet"));
    assert!(!sandbox.state().exists());
}

#[test]
fn artifacts_can_be_listed_shown_copied_and_verified() {
    let sandbox = Sandbox::new();
    sandbox.stepwell(&["run", "commands", "-S", "lines=10"]).ok();
    let list = sandbox.stepwell(&["artifact", "ls", "last"]).ok().stdout;
    assert!(list.contains("commands-1/sum/sum"), "{list}");
    for name in list.lines().skip(1).filter_map(|line| line.split(' ').next()).chain(["last/sum/sum", "sum/sum"]) {
        let shown = sandbox.stepwell(&["artifact", "show", name]).ok().stdout;
        assert!(shown.contains("55") || !name.ends_with("sum"), "{name}: {shown}");
    }
    let shown = sandbox.stepwell(&["artifact", "show", "sum/sum", "--output", "json"]).ok().json();
    assert_eq!((shown["content"].as_str(), shown["complete"].as_bool()), (Some("55\n"), Some(true)));
    let digest = shown["artifact"]["digest"].as_str().unwrap().to_owned();
    assert!(sandbox.stepwell(&["artifact", "show", &digest[..12]]).ok().stdout.contains("55"));
    sandbox.stepwell(&["artifact", "show", ""]).exits(6);
    sandbox.stepwell(&["artifact", "show", "no-run/sum/sum"]).exits(6).says(&["no-run"]);
    sandbox.stepwell(&["artifact", "show", "sum/nothing"]).exits(6).says(&["no artifact `sum/nothing`"]);
    std::os::unix::fs::symlink("nowhere", sandbox.path("link")).unwrap();
    sandbox.stepwell(&["artifact", "get", "sum/sum", "link"]).exits(2).says(&["exists already"]);
    sandbox.stepwell(&["artifact", "get", "last/sum/sum", "copy.txt"]).ok();
    assert_eq!(std::fs::read_to_string(sandbox.path("copy.txt")).unwrap(), "55\n");
    sandbox.stepwell(&["artifact", "get", "last/sum/sum", "copy.txt"]).exits(2).says(&["exists already"]);
    sandbox.stepwell(&["artifact", "verify"]).ok();
    sandbox.stepwell(&["db", "check"]).ok();
}

#[cfg(feature = "train")]
#[test]
fn model_describe_prints_exact_counts() {
    let sandbox = Sandbox::new();
    let total = |name: &str| {
        sandbox.stepwell(&["model", "describe", name, "--output", "json"]).ok().json()["parameters"].clone()
    };
    assert_eq!(total("deep60"), 60_659_520);
    assert_eq!(total("deep60-ungated"), 59_430_720);
    sandbox.stepwell(&["model", "describe", "huge"]).exits(6).says(&["deep60"]);
}

#[test]
fn a_preview_says_what_it_leaves_out() {
    let sandbox = Sandbox::new();
    sandbox.stepwell(&["run", "commands", "-S", "lines=1000"]).ok();
    let shown = sandbox.stepwell(&["artifact", "show", "make/numbers"]).ok().stdout;
    assert!(shown.contains("[1845 more bytes: `stepwell artifact get ") && !shown.contains("1000\n"), "{shown}");
    let shown = sandbox.stepwell(&["artifact", "show", "make/numbers", "--output", "json"]).ok().json();
    assert_eq!((shown["content"].as_str().unwrap().len(), shown["complete"].as_bool()), (2048, Some(false)));
}

#[test]
fn what_cannot_work_here_is_refused_before_anything_starts() {
    let sandbox = Sandbox::new();
    let step = "name = \"w\"\n[[step]]\nid = \"a\"\nkind = \"command\"\n";
    sandbox.write("p.sh", "true\n");
    for (arguments, said) in [
        ("with = { shell = \"x\", inputs = [\"gone.txt\"] }", "step `a`: the input `gone.txt` does not exist"),
        ("with = { argv = [\"./gone.sh\"], cwd = \".\" }", "step `a`: the program `./gone.sh` does not exist"),
        ("with = { argv = [\"sh\", \"gone.sh\"] }", "step `a`: the script `gone.sh` does not exist in `"),
        ("with = { shell = \"x\", cwd = \"gone\" }", "step `a`: the working directory `gone` does not exist"),
    ] {
        sandbox.write("w.toml", format!("{step}{arguments}\n"));
        sandbox.stepwell(&["workflow", "validate", "w.toml"]).exits(2).says(&[said, "hint:"]);
        sandbox.stepwell(&["run", "w.toml"]).exits(2).says(&[said]);
        assert!(!sandbox.state().exists(), "{arguments}");
        // The files may come before an engine runs it.
        sandbox.stepwell(&["run", "w.toml", "--detach"]).ok().says(&["warning: ", said]);
        std::fs::remove_dir_all(sandbox.state()).unwrap();
        // A step that may be skipped gives only a warning.
        sandbox.write("w.toml", format!("{step}{arguments}\nwhen = \"false\"\n"));
        sandbox.stepwell(&["workflow", "validate", "w.toml"]).ok().says(&["warning: ", said]);
    }
    sandbox.write("w.toml", format!("{step}with = {{ shell = \"sh p.sh\", cwd = \".\", env = {{ API_TOKEN = \"x\" }}, outputs = {{ o = \"o\" }} }}\n"));
    let valid = sandbox.stepwell(&["workflow", "validate", "w.toml"]).ok();
    let valid =
        valid.says(&["changes of `./p.sh` will not be noticed", "`API_TOKEN` of step `a` will be kept as plain text"]);
    assert_eq!(valid.stderr.lines().count(), 2, "{}", valid.stderr);
}

/// Returns the commands that messages name in backticks, with `x` in place of values.
fn suggested(code: &str) -> Vec<String> {
    let fill = |command: &str| {
        // What a shell does with the output is its own; quoted words are one.
        let command = command.split(" | ").flat_map(|part| part.split(" > ")).next().unwrap();
        let parts = command.split('\'').enumerate().map(|(part, text)| if part % 2 == 1 { "x" } else { text });
        let command = parts.collect::<String>();
        let words = command.split_whitespace().map(|word| match word {
            "{options}" => "-S x=x",
            _ if word.contains('{') => "x",
            _ => word,
        });
        words.collect::<Vec<_>>().join(" ")
    };
    // A quote ends a text that only looks for such commands.
    let written = code.split("`stepwell ").skip(1).filter(|rest| !rest.starts_with('"'));
    let written = written.filter_map(|rest| Some(fill(rest.split_once('`')?.0)));
    let made = code.split("stepwell(\"").skip(1).filter_map(|rest| {
        let (verb, rest) = rest.split_once("\", [")?;
        let mut depth = 0;
        let mut words = 1;
        for c in rest.chars() {
            match c {
                '(' | '[' => depth += 1,
                ']' if depth == 0 => break,
                ')' | ']' => depth -= 1,
                ',' if depth == 0 => words += 1,
                _ => {}
            }
        }
        Some(format!("{verb}{}", " x".repeat(words)))
    });
    written.chain(made).collect()
}

/// An incomplete command cannot be pasted; placeholders are in capital letters.
#[test]
fn every_command_in_a_message_exists_and_is_complete() {
    let mut problems = Vec::new();
    let mut count = 0;
    let folders = ["src", "crates"].into_iter().flat_map(walkdir::WalkDir::new);
    let sources = folders.map(|entry| entry.unwrap().into_path());
    let is_source = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    // `crates/base/src/text/shell.rs` builds the commands, and has examples for a shell to parse; tests have parts of them.
    let is_test =
        |path: &PathBuf| path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests");
    for path in sources.filter(|path| is_source(path) && !path.ends_with("text/shell.rs") && !is_test(path)) {
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        // A backslash joins a string literal with its next line.
        let code = lines.collect::<Vec<_>>().join("\n").split("\\\n").map(str::trim_start).collect::<String>();
        for command in suggested(&code).iter().filter(|command| *command != "x") {
            count += 1;
            let words = std::iter::once("stepwell").chain(command.split(' '));
            let compiled = cfg!(feature = "train") || !command.starts_with("generate") && !command.starts_with("model");
            if let Err(error) = stepwell::Cli::try_parse_from(words)
                && error.use_stderr()
                && compiled
            {
                problems.push(format!("{}: `stepwell {command}`: {}", path.display(), error.kind()));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(count > 60, "{count} commands");
    let example = "\"see `stepwell show` or {}\", shell::stepwell(\"retry\", [f(a, b), c, d]), `stepwell show {run}`";
    assert_eq!(suggested(example), ["show", "show x", "retry x x x"]);
}
