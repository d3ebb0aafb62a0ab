//! Checks a command before a run: reports missing files, and changes that the step key does not cover. Skips templates,
//! whose values are known and checked later.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::{Finding, Weight};
use stepwell_base::names::check_label;
use stepwell_workflow::template::is_literal;

use super::arguments::Arguments;
use super::files::{LARGEST, PROJECT_DIR, Project, covers, holds_output, named};

/// Programs whose first argument, unless it is an option, is a script.
const INTERPRETERS: [&str; 10] = ["sh", "bash", "zsh", "python", "python3", "node", "ruby", "perl", "Rscript", "julia"];
/// Characters that surround words of a shell script.
const SEPARATORS: [char; 15] = [' ', '\t', '\n', ';', '|', '&', '(', ')', '<', '>', '`', '"', '\'', '=', '$'];
/// Maximum number of names in one message.
const SHOWN: usize = 3;

/// Returns the findings about a step with these arguments. File paths resolve as in the engine.
pub(super) fn look_ahead(with: &Map<String, Value>, project: Project<'_>) -> Vec<Finding> {
    // A script is checked even if parts are templates; any other text with a template is skipped.
    let literal = with.iter().filter(|(name, value)| *name == "shell" || !value.is_string() || is_literal(value));
    let literal: Map<String, Value> = literal.map(|(name, value)| (name.clone(), value.clone())).collect();
    // Another check reports invalid arguments.
    let Ok(arguments) = serde_json::from_value::<Arguments>(Value::Object(literal)) else { return Vec::new() };
    let mut findings = Vec::new();
    for (name, error) in arguments.outputs.keys().filter_map(|name| Some((name, check_label(name).err()?))) {
        let message = format!("the output `{name}` cannot have this name: {error}");
        findings.push(finding(
            Weight::Impossible,
            "outputs",
            message,
            "give the output a name that can be typed".to_owned(),
        ));
    }
    let is_gone = |path: &Path| project.find(path).symlink_metadata().is_err();
    for (index, input) in arguments.inputs.iter().enumerate().filter(|(_, path)| is_literal_path(path) && is_gone(path))
    {
        findings.push(finding(
            Weight::Missing,
            &format!("inputs[{index}]"),
            format!("the input `{}` does not exist", input.display()),
            format!("relative `inputs` start at {}", project.start_of_paths()),
        ));
    }
    // A relative path cannot be resolved if `cwd` is a template.
    if with.get("cwd").is_some_and(|folder| !is_literal(folder)) {
        return findings;
    }
    if let Some(folder) = arguments.cwd.as_ref().filter(|folder| !project.find(folder).is_dir()) {
        findings.push(finding(
            Weight::Missing,
            "cwd",
            format!("the working directory `{}` {}", folder.display(), absent(folder)),
            format!("a relative `cwd` starts at {}", project.start_of_paths()),
        ));
    } else {
        findings.extend(program(&arguments, project));
        findings.extend(script(&arguments, project));
    }
    findings.extend(elsewhere(&arguments, project));
    findings.extend(unnoticed(&arguments, project));
    findings
}

fn absent(folder: &Path) -> &'static str {
    if folder.exists() { "is no folder" } else { "does not exist" }
}

fn finding(weight: Weight, argument: &str, message: String, hint: String) -> Finding {
    Finding { weight, argument: argument.to_owned(), message, hint }
}

fn is_literal_path(path: &Path) -> bool {
    path.to_str().is_some_and(|text| is_literal(&Value::from(text)))
}

fn word(arguments: &Arguments, index: usize) -> Option<&str> {
    arguments.argv.get(index).filter(|word| is_literal(word)).and_then(Value::as_str)
}

/// Reports a program that does not exist.
fn program(arguments: &Arguments, project: Project<'_>) -> Option<Finding> {
    let name = word(arguments, 0)?;
    if name.contains('/') {
        return not_found("the program", "argv[0]", name, arguments, project);
    }
    if arguments.env.contains_key("PATH") || name.is_empty() {
        return None;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| folder.join(name).exists()) {
        return None;
    }
    let hint = match project.own(Path::new(name)) {
        Some(_) => format!("to start that of the workflow's folder, write `./{name}`"),
        None => "install it, or give its path".to_owned(),
    };
    Some(finding(Weight::Missing, "argv[0]", format!("there is no program `{name}` in PATH"), hint))
}

/// Reports an interpreter's script that does not exist.
fn script(arguments: &Arguments, project: Project<'_>) -> Option<Finding> {
    let interpreter = Path::new(word(arguments, 0)?).file_name()?.to_str()?;
    let name = word(arguments, 1).filter(|name| !name.starts_with('-') && Path::new(name).extension().is_some())?;
    INTERPRETERS.contains(&interpreter).then(|| not_found("the script", "argv[1]", name, arguments, project)).flatten()
}

fn not_found(what: &str, argument: &str, name: &str, arguments: &Arguments, project: Project<'_>) -> Option<Finding> {
    let path = Path::new(name);
    match &arguments.cwd {
        Some(folder) if project.find(folder).join(path).exists() => None,
        None if path.is_absolute() && path.exists() || project.own(path).is_some() => None,
        None if path.is_relative() && !project.is_known() => Some(finding(
            Weight::Impossible,
            argument,
            format!("{what} `{name}` is looked for in the step's own folder, which is empty"),
            format!("write its whole path, or `cwd = \".\"` to work in `{}`", project.folder().display()),
        )),
        None if path.is_relative() => Some(finding(
            Weight::Missing,
            argument,
            format!("{what} `{name}` does not exist in `{}`, the folder of the workflow file", project.0.display()),
            "correct the name; a relative path in `argv` starts at the folder of the workflow file".to_owned(),
        )),
        _ => Some(finding(
            Weight::Missing,
            argument,
            format!("{what} `{name}` does not exist"),
            format!("a relative path starts at `cwd`, and `cwd` at {}", project.start_of_paths()),
        )),
    }
}

/// Finds files of the project that a shell script names as if it worked there.
fn elsewhere(arguments: &Arguments, project: Project<'_>) -> Option<Finding> {
    let script = arguments.shell.as_deref().or_else(|| inline_script(arguments))?;
    if arguments.cwd.is_some() || script.contains("cd ") {
        return None;
    }
    let name =
        shell_words(script).into_iter().find(|word| project.own(Path::new(word)).is_some_and(|path| path.is_file()))?;
    Some(finding(
        Weight::Unnoticed,
        "shell",
        format!("the script names `{name}` of the workflow's folder, but works in a folder of its own"),
        format!("write \"${PROJECT_DIR}/{name}\", or set `cwd = \".\"` to work in the workflow's folder"),
    ))
}

/// Finds files that a reusable step seems to read but its key does not cover.
fn unnoticed(arguments: &Arguments, project: Project<'_>) -> Option<Finding> {
    if !arguments.cacheable() {
        return None;
    }
    let mut found: Vec<PathBuf> = Vec::new();
    let mut add = |name: PathBuf, path: &Path| {
        if !covers(&arguments.inputs, project, path) && !found.contains(&name) {
            found.push(name);
        }
    };
    for file in named(arguments, project).filter(|file| !holds_output(arguments, &file.name)) {
        if file.path.metadata().is_ok_and(|metadata| metadata.is_dir() || metadata.len() > LARGEST) {
            add(file.name, &file.path);
        }
    }
    let shells = arguments.shell.iter().map(String::as_str).chain(inline_script(arguments));
    let in_env = arguments.env.values().filter_map(Value::as_str).filter(|text| text.contains(['/', '.']));
    for text in shells.flat_map(shell_words).chain(in_env) {
        let (name, path) = match &arguments.cwd {
            Some(folder) => (folder.join(text), project.find(folder).join(text)),
            None => (PathBuf::from(text), PathBuf::from(text)),
        };
        if is_literal(&Value::from(text)) && path.is_file() && !holds_output(arguments, &name) {
            add(name, &path);
        }
    }
    if found.is_empty() {
        return None;
    }
    let names: Vec<String> = found.iter().take(SHOWN).map(|path| format!("`{}`", path.display())).collect();
    let more = if found.len() > SHOWN { format!(" and {} more", found.len() - SHOWN) } else { String::new() };
    let message = format!("changes of {}{more} will not be noticed, and earlier outputs be reused", names.join(", "));
    Some(finding(Weight::Unnoticed, "inputs", message, "name what the program reads in `inputs`".to_owned()))
}

/// Returns the script after a shell's `-c`.
fn inline_script(arguments: &Arguments) -> Option<&str> {
    let interpreter = Path::new(word(arguments, 0)?).file_name()?.to_str()?;
    let is_shell = matches!(interpreter, "sh" | "bash" | "zsh" | "dash");
    if is_shell && word(arguments, 1)?.ends_with('c') { word(arguments, 2) } else { None }
}

/// Returns words of a shell script that may name files it reads.
fn shell_words(script: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut writes) = (0, false);
    for (at, separator) in script.match_indices(SEPARATORS).chain([(script.len(), "")]) {
        let word = &script[start..at];
        if word.contains(['/', '.']) && !writes {
            words.push(word);
        }
        // The program writes to the word after `>`.
        writes = separator == ">" || writes && word.is_empty();
        start = at + separator.len();
    }
    words
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    fn findings(with: Value) -> Vec<(Weight, String)> {
        findings_in(with, Path::new(""))
    }

    fn findings_in(with: Value, project: &Path) -> Vec<(Weight, String)> {
        let found = look_ahead(with.as_object().unwrap(), Project(project));
        assert!(found.iter().all(|finding| !finding.hint.is_empty()));
        found.into_iter().map(|finding| (finding.weight, finding.message)).collect()
    }

    #[track_caller]
    fn one(with: Value, weight: Weight, said: &str) {
        let found = findings(with);
        assert!(matches!(found.as_slice(), [(of, text)] if *of == weight && text.contains(said)), "{said}: {found:?}");
    }

    #[test]
    fn what_is_missing_is_told_and_templates_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("p.py"), "").unwrap();
        let cwd = dir.path();
        for good in [
            json!({ "argv": ["sh", "p.py"], "cwd": cwd }),
            json!({ "argv": ["sh", cwd.join("p.py")], "inputs": [cwd] }),
            json!({ "argv": ["sh", "{{ params.script }}"], "inputs": ["{{ params.input }}"], "cwd": "{{ params.cwd }}" }),
            json!({ "argv": ["{{ params.program }}"] }),
            json!({ "argv": ["no-such-program"], "env": { "PATH": "/opt" } }),
            json!({ "argv": ["sh", "-c", "exit 0"] }),
            json!({ "argv": ["./p.py"], "cwd": "{{ params.cwd }}" }),
            json!({ "shell": "cat gone.txt" }),
        ] {
            assert_eq!(findings(good.clone()), [], "{good}");
        }
        one(json!({ "shell": "x", "inputs": [cwd.join("gone")] }), Weight::Missing, "gone` does not exist");
        one(json!({ "shell": "x", "cwd": cwd.join("gone") }), Weight::Missing, "the working directory");
        one(json!({ "argv": ["./gone"], "cwd": cwd }), Weight::Missing, "the program `./gone` does not exist");
        one(json!({ "argv": ["no-such-program"] }), Weight::Missing, "no program `no-such-program` in PATH");
        one(json!({ "argv": ["sh", "gone.sh"], "cwd": cwd }), Weight::Missing, "the script `gone.sh` does not exist");
        let outputs = json!({ "a\nb": "x", "model.v2": "x", "b c": "x", "ü": "x" });
        one(json!({ "shell": "x", "outputs": outputs, "cache": false }), Weight::Impossible, "cannot hold `\\n`");
        one(json!({ "argv": ["/no/such"] }), Weight::Missing, "the program `/no/such` does not exist");
        one(json!({ "argv": ["sh", "p.py"] }), Weight::Impossible, "`p.py` is looked for in the step's own folder");
        one(json!({ "argv": ["./p.py"] }), Weight::Impossible, "`./p.py` is looked for in the step's own folder");
    }

    #[test]
    fn relative_paths_start_at_the_folder_of_the_workflow_file() {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path();
        fs::create_dir(project.join("sub")).unwrap();
        for name in ["p.py", "run.sh", "sub/q.py"] {
            fs::write(project.join(name), "").unwrap();
        }
        for good in [
            json!({ "argv": ["python3", "p.py"], "inputs": ["sub"] }),
            json!({ "argv": ["./run.sh", "sub/q.py"] }),
            json!({ "argv": ["sh", "q.py"], "cwd": "sub" }),
            json!({ "shell": "sh \"$STEPWELL_PROJECT_DIR/p.py\"" }),
            json!({ "shell": "cd $STEPWELL_PROJECT_DIR; sh p.py" }),
        ] {
            assert_eq!(findings_in(good.clone(), project), [], "{good}");
        }
        for (with, weight, said) in [
            (json!({ "argv": ["python3", "gone.py"] }), Weight::Missing, "`gone.py` does not exist in `"),
            (json!({ "argv": ["run.sh"] }), Weight::Missing, "no program `run.sh` in PATH"),
            (
                json!({ "argv": ["x"], "cwd": "gone", "env": { "PATH": "x" } }),
                Weight::Missing,
                "the working directory `gone`",
            ),
            (json!({ "shell": "sh p.py" }), Weight::Unnoticed, "names `p.py` of the workflow's folder"),
            (json!({ "argv": ["sh", "-euc", "cat < run.sh"] }), Weight::Unnoticed, "names `run.sh` of"),
        ] {
            let found = findings_in(with.clone(), project);
            assert!(
                matches!(found.as_slice(), [(of, text)] if *of == weight && text.contains(said)),
                "{with}: {found:?}"
            );
        }
    }

    #[test]
    fn what_will_not_be_noticed_is_told_when_outputs_may_be_reused() {
        let dir = tempfile::tempdir().unwrap();
        let cwd = dir.path();
        fs::create_dir(cwd.join("data")).unwrap();
        for name in ["p.py", "q.py", "o.txt"] {
            fs::write(cwd.join(name), "").unwrap();
        }
        let with = |more: Value| {
            let mut with = json!({ "cwd": cwd, "outputs": { "o": "o.txt" } });
            with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            with
        };
        let names = |name: &str| format!("changes of `{}` will not", cwd.join(name).display());
        one(with(json!({ "shell": "cd . && python3 p.py >o.txt" })), Weight::Unnoticed, &names("p.py"));
        one(with(json!({ "shell": "x", "env": { "S": "q.py" } })), Weight::Unnoticed, &names("q.py"));
        one(with(json!({ "argv": ["sh", "-ec", "sh 'p.py' > q.py"] })), Weight::Unnoticed, &names("p.py"));
        one(with(json!({ "argv": ["sh", "p.py", "data"] })), Weight::Unnoticed, &names("data"));
        for quiet in [
            json!({ "argv": ["sh", "p.py"] }),
            json!({ "shell": "python3 p.py", "inputs": [cwd.join("p.py")] }),
            json!({ "shell": "python3 p.py", "cache": false }),
            json!({ "shell": "python3 p.py", "outputs": {} }),
            json!({ "shell": "echo x > o.txt; echo 1.5 > q.py; cat $HOME/.profile" }),
        ] {
            assert_eq!(findings(with(quiet.clone())), [], "{quiet}");
        }
    }
}
