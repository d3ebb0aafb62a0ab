//! Output on all kinds of streams.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::harness::{Finished, Sandbox};
#[cfg(target_os = "linux")]
use crate::harness::{eventually, signal};

const FAILS: &str = r#"
name = "fails"
[[step]]
id = "good"
kind = "command"
with.shell = "printf 'good \\033]0;title\\007\\033[31mred\\033[0m\\r\\377\\n'"
[[step]]
id = "bad"
kind = "command"
needs = ["good"]
retry = { maximum_attempts = 1 }
with.shell = "for n in $(seq 2000); do printf '\\r%s/2000 it/s' $n; done; printf '\\n\\033]0;owned\\007\\033[2J\\033[31mthe cause\\033[0m\\n'; exit 3"
"#;

const STEPS: &str = "name = \"steps\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nwith.shell = \"sleep 0.1\"\n[[step]]\nid = \"b\"\nkind = \"command\"\nneeds = [\"a\"]\nwith.shell = \"exit CODE\"\nretry = { maximum_attempts = 1 }\n";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("fails.toml", FAILS);
    sandbox.write("steps.toml", STEPS.replace("CODE", "0"));
    sandbox.write("broken.toml", STEPS.replace("CODE", "1"));
    sandbox
}

/// A pipe without a reader.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn full() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

fn status(sandbox: &Sandbox, run: &str) -> String {
    let show = sandbox.stepwell(&["show", run, "--output", "json"]).ok().json();
    show["run"]["status"].as_str().unwrap().to_owned()
}

#[test]
fn a_run_ends_as_usual_whoever_reads_what_it_prints() {
    let sandbox = sandbox();
    let streams: [fn() -> Stdio; 3] = [closed, full, Stdio::null];
    let mut number = 0;
    for stdout in streams {
        for stderr in streams {
            for form in ["human", "json"] {
                for (file, code, ends) in [("steps.toml", 0, "succeeded"), ("broken.toml", 3, "failed")] {
                    number += 1;
                    let name = format!("run {number}");
                    let arguments = ["run", file, "--name", &name, "--no-reuse", "--output", form];
                    let exit = sandbox.command(&arguments).stdout(stdout()).stderr(stderr()).status().unwrap();
                    assert_eq!((exit.code(), &*status(&sandbox, &name)), (Some(code), ends), "{name} {form}");
                }
            }
        }
    }
}

#[test]
fn no_verb_fails_for_want_of_a_reader() {
    let sandbox = sandbox();
    sandbox.stepwell(&["run", "fails.toml"]).exits(3);
    let verbs: [&[&str]; 22] = [
        &["list"],
        &["show", "last"],
        &["logs", "last"],
        &["logs", "last", "-f"],
        &["explain", "last"],
        &["artifact", "ls"],
        &["artifact", "verify"],
        &["db", "check"],
        &["gc", "--dry-run", "--keep-runs", "5"],
        &["config", "show"],
        &["doctor"],
        &["completions", "bash"],
        &["workflow", "list"],
        &["workflow", "schema"],
        &["schedule", "list"],
        &["webhook", "list"],
        &["remote", "status"],
        &["phases", "."],
        &["--help"],
        &["--version"],
        &["no-such-verb"],
        &["show", "no-such-run"],
    ];
    for verb in verbs {
        for form in [&[][..], &["--output", "json"]] {
            let arguments = [verb, form].concat();
            let expected = sandbox.stepwell(&arguments).code;
            assert!([0, 2, 6].contains(&expected), "{arguments:?} exits with {expected}");
            let output = sandbox.command(&arguments).stdout(closed()).stderr(Stdio::piped()).output().unwrap();
            let finished = Finished::from(output);
            assert_eq!(finished.code, expected, "{arguments:?}: {}", finished.stderr);
            if expected == 0 {
                assert_eq!(finished.stderr, "", "{arguments:?}");
            }
            let code = sandbox.command(&arguments).stdout(closed()).stderr(closed()).status().unwrap().code();
            assert_eq!(code, Some(expected), "{arguments:?}");
        }
    }
    let watched = sandbox.command(&["watch", "last"]).stdout(closed()).stderr(closed()).status().unwrap().code();
    assert_eq!(watched, Some(0), "a verb that only prints ends with its reader");
}

#[test]
fn what_was_asked_for_and_cannot_be_printed_is_an_error() {
    let sandbox = sandbox();
    let output = sandbox.command(&["doctor"]).stdout(full()).stderr(Stdio::piped()).output().unwrap();
    Finished::from(output).exits(1).says(&["cannot write standard output", "No space left"]);
    assert_eq!(sandbox.command(&["doctor"]).stdout(full()).stderr(full()).status().unwrap().code(), Some(1));
}

#[test]
fn streams_that_are_closed_at_the_start_do_no_harm() {
    let sandbox = sandbox();
    let mut shell = Command::new("sh");
    shell.args(["-c", "\"$0\" run steps.toml <&- >&- 2>&-", env!("CARGO_BIN_EXE_stepwell")]);
    assert!(shell.current_dir(sandbox.dir.path()).env_remove("STEPWELL_STATE_DIR").status().unwrap().success());
    assert_eq!(status(&sandbox, "last"), "succeeded");
}

/// `nohup` ignores SIGHUP. Without it, closing the terminal interrupts the run at a checkpoint.
#[cfg(target_os = "linux")]
#[test]
fn a_run_that_ignores_the_end_of_its_terminal_goes_on() {
    // The tests may run under `nohup`, and a shell cannot restore a signal that was ignored at its start.
    for (prepare, run, code, ends) in
        [("trap '' HUP", "", 0, "succeeded"), (":", "env --default-signal=HUP", 130, "interrupted")]
    {
        let sandbox = sandbox();
        sandbox.write(
            "long.toml",
            STEPS
                .replace("exit CODE", "touch begun; while ! [ -e GO ]; do sleep 0.02; done")
                .replace("GO", &sandbox.path("go").display().to_string())
                .replace("begun", &sandbox.path("begun").display().to_string()),
        );
        let mut shell = Command::new("sh");
        let run = format!("{prepare}; exec {run} {} run long.toml", env!("CARGO_BIN_EXE_stepwell"));
        shell.args(["-c", &run]).current_dir(sandbox.dir.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut engine = shell.spawn().unwrap();
        eventually("the step runs", || sandbox.path("begun").exists());
        signal(engine.id(), "HUP");
        if code == 0 {
            // The sleep is long enough for a caught signal to end the step.
            std::thread::sleep(Duration::from_millis(300));
            sandbox.write("go", "");
        }
        assert_eq!(engine.wait().unwrap().code(), Some(code), "{prepare}");
        assert_eq!(status(&sandbox, "last"), ends, "{prepare}");
    }
}

/// Checks that a text has no control characters except line feeds.
#[track_caller]
fn is_safe(what: &str, bytes: &[u8]) {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let wrong = text.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(wrong, None, "{what}:\n{text:?}");
}

#[test]
fn what_a_program_prints_does_not_steer_the_terminal() {
    let sandbox = sandbox();
    let run = sandbox.command(&["run", "fails.toml"]).output().unwrap();
    let said = String::from_utf8(run.stderr.clone()).unwrap();
    assert!(said.contains("2000/2000 it/s\n") && said.contains("the cause") && !said.contains("1999/2000"), "{said}");
    assert!(said.len() < 6000, "{} bytes", said.len());
    let outputs = [&["show", "last"][..], &["explain", "last"], &["list"], &["watch", "last"]]
        .map(|verb| sandbox.command(verb).output().unwrap());
    for Output { stdout, stderr, .. } in outputs.iter().chain([&run]) {
        is_safe("standard output", stdout);
        is_safe("standard error", stderr);
    }
    let show = String::from_utf8(outputs[0].stdout.clone()).unwrap();
    let row = show.lines().find(|line| line.starts_with("bad ")).unwrap();
    assert!(row.contains("the cause"), "a step is one line of the table: {show}");
    let logs = sandbox.command(&["logs", "last", "good"]).output().unwrap().stdout;
    assert_eq!(logs, b"==> good attempt 1\ngood \x1b]0;title\x07\x1b[31mred\x1b[0m\r\xff\n", "logs to a pipe are raw");
}

#[test]
fn a_workflow_file_and_arguments_do_not_steer_the_terminal() {
    let sandbox = sandbox();
    sandbox.write("evil.toml", "name = \"a\" # \x1b[31m\x1b[2J\n[[step]]\nid = \"\x1b]0;x\x07\"\n");
    let arguments: [&[&str]; 3] = [&["run", "evil.toml"], &["show", "\x1b[31mx"], &["run", "x", "--\x1b[31mx"]];
    for form in ["human", "json"] {
        for arguments in arguments {
            let output = sandbox.command(&[arguments, &["--output", form]].concat()).output().unwrap();
            assert_ne!(output.status.code(), Some(0));
            is_safe("standard error", &output.stderr);
        }
    }
}

/// Returns the commands in backticks of a text.
fn commands(text: &str) -> Vec<String> {
    let spans = text.split("`stepwell ").skip(1);
    spans.filter_map(|rest| Some(format!("stepwell {}", rest.split_once('`')?.0))).collect()
}

/// Creates a folder that contains only this program.
fn path_with_stepwell(folder: &Path) -> OsString {
    std::fs::create_dir(folder).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_stepwell"), folder.join("stepwell")).unwrap();
    let system = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(folder.to_owned()).chain(std::env::split_paths(&system))).unwrap()
}

#[test]
fn commands_in_hints_can_be_pasted_wherever_the_state_is() {
    let sandbox = sandbox();
    let path = path_with_stepwell(&sandbox.path("bin"));
    let odd = [
        b"it's a \"place\" with $HOME `id` and \\".to_vec(),
        b"-dash".to_vec(),
        b"two\nlines and a\ttab".to_vec(),
        "größe \u{202e}日本".into(),
        b"caf\xe9".to_vec(),
    ];
    for name in odd {
        let state = sandbox.dir.path().join(PathBuf::from(OsString::from_vec(name)));
        let mut flag = OsString::from("--state-dir=");
        flag.push(&state);
        let run = sandbox.command(&["run", "fails.toml"]).arg(&flag).output().unwrap();
        let run = Finished::from(run).exits(3);
        assert!(run.stderr.contains("the cause"), "the program has run: {}", run.stderr);
        let pasted = commands(&run.stderr);
        assert!(pasted.iter().any(|command| command.starts_with("stepwell logs ")), "{}", run.stderr);
        // The workflow would fail again.
        for command in pasted.into_iter().filter(|command| !command.contains(" fails.toml")) {
            let shell = Command::new("sh").args(["-c", &command]).env("PATH", &path).current_dir("/").output().unwrap();
            assert!(shell.status.success(), "{command}: {}", String::from_utf8_lossy(&shell.stderr));
        }
        let error = sandbox.command(&["show", "last", "--output", "json"]).arg(&flag).output().unwrap();
        assert!(error.status.success(), "{}", String::from_utf8_lossy(&error.stderr));
    }
}

#[test]
fn a_hint_names_the_run_that_it_is_about() {
    let sandbox = sandbox();
    sandbox.write("loud.toml", STEPS.replace("exit CODE", "echo oops; exit 1"));
    let first = sandbox.stepwell(&["run", "loud.toml", "--name", "same name", "--output", "json"]).exits(3);
    let submitted: serde_json::Value = serde_json::from_str(first.stdout.lines().next().unwrap()).unwrap();
    let id = submitted["run"]["id"].as_str().unwrap();
    sandbox.stepwell(&["run", "steps.toml", "--name", "same name"]).ok();
    sandbox.stepwell(&["retry", id]).exits(3).says(&[&format!("`stepwell logs {id}`")]);
    sandbox.stepwell(&["run", "loud.toml", "--name", "same name"]).exits(3).says(&["`stepwell logs 'same name'`"]);
}

#[test]
fn a_path_that_is_not_utf_8_is_no_reason_to_panic() {
    let sandbox = sandbox();
    sandbox.stepwell(&["run", "steps.toml"]).ok();
    let odd = |name: &[u8]| sandbox.dir.path().join(PathBuf::from(OsString::from_vec(name.to_vec())));
    let copy = odd(b"copy-\xe9");
    for form in ["human", "json"] {
        let backup = sandbox.command(&["db", "backup", "--output", form]).arg(&copy).output().unwrap();
        Finished::from(backup).ok();
        let restored = sandbox.command(&["db", "restore", "--output", form]).arg(&copy).output().unwrap();
        Finished::from(restored).ok();
        std::fs::remove_dir_all(&copy).unwrap();
    }
    let run = sandbox.command(&["run"]).arg(odd(b"\xff.toml")).output().unwrap();
    Finished::from(run).exits(2).says(&["is not UTF-8 text", "\\377"]);
}

#[test]
fn a_refused_file_operation_is_named() {
    let sandbox = sandbox();
    let output = sandbox.command(&["chaos", "steps.toml"]).env("TMPDIR", "/nonexistent").output().unwrap();
    Finished::from(output).exits(1).says(&["cannot create a temporary folder in `/nonexistent`", "hint: set `TMPDIR`"]);
}

#[test]
fn names_are_checked_before_any_work() {
    let sandbox = sandbox();
    let long = "n".repeat(201);
    for name in ["", "last", "../../out/x", "/abs", ".", "..", "a/b", "a\nb", "\u{202e}x", long.as_str()] {
        let name = format!("--name={name}");
        sandbox.stepwell(&["run", "steps.toml", &name]).exits(2).says(&["'--name <NAME>': "]);
        let error = sandbox.stepwell(&["run", "steps.toml", &name, "--output", "json"]).exits(2);
        let error: serde_json::Value = serde_json::from_str(error.stderr.trim()).unwrap();
        assert_eq!(error["error"]["code"], "usage");
        assert!(error["error"]["hint"].as_str().unwrap().contains("`stepwell run --help`"), "{error}");
    }
    for key in ["--idempotency-key=", "--idempotency-key=a\nb"] {
        sandbox.stepwell(&["run", "steps.toml", key]).exits(2).says(&["a name "]);
    }
    sandbox.stepwell(&["signal", "last", ""]).exits(2).says(&["a name has at least one character"]);
    let schedule = ["schedule", "add", "../x", "--cron", "0 3 * * *", "steps.toml"];
    sandbox.stepwell(&schedule).exits(2).says(&["a name cannot hold `/`"]);
    for name in ["last", "-x", "n".repeat(101).as_str()] {
        sandbox.write("named.toml", format!("name = \"{name}\"\n[[step]]\nid = \"a\"\nkind = \"noop\"\n"));
        sandbox.stepwell(&["run", "named.toml"]).exits(2).says(&["invalid workflow name"]);
    }
    assert!(!sandbox.state().exists());
}

#[test]
fn a_run_with_a_name_that_is_older_than_the_rule_can_be_used() {
    let sandbox = sandbox();
    sandbox.stepwell(&["run", "broken.toml"]).exits(3);
    let connection = rusqlite::Connection::open(sandbox.state().join("stepwell.db")).unwrap();
    connection.execute("UPDATE run SET name = '../../out/x'", []).unwrap();
    drop(connection);
    sandbox.stepwell(&["show", "../../out/x"]).ok();
    assert!(sandbox.stepwell(&["list"]).ok().stdout.contains("../../out/x"));
    sandbox.stepwell(&["rerun", "last", "--from-step", "a"]).exits(2).says(&["a name cannot hold `/`", "--name"]);
    sandbox.stepwell(&["rerun", "last", "--from-step", "a", "--name", "new"]).exits(3);
}
