//! The text of a new workflow file: a small example, or one that runs a script.

mod written_files;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::CliError;
use stepwell_base::shell;
use stepwell_workflow::kinds::COMMAND;
use written_files::written_files;

/// Bytes of a script to look through.
const LARGEST_SCRIPT: u64 = 1 << 20;
/// Longest first line of a script to look at, in bytes.
const LONGEST_SHEBANG: u64 = 256;

/// Returns an example of two steps, with a comment on everything that a beginner changes first. `file` is its path.
pub fn example(file: &str) -> String {
    let name = name_of(file);
    let run = shell::quote(file);
    format!(
        r#"# Run it:       stepwell run {run}
# Continue it:  stepwell resume          (after Ctrl-C, a crash, or a failure that is mended)
# Check it:     stepwell workflow validate {run}
name = "{name}"
description = "Counts to a number, then adds up"

[params]
# The last number. For one run: -S lines=10
lines = 3

# Each step has an id and a kind. `{COMMAND}` runs a program; `stepwell workflow schema` lists the other kinds.
[[step]]
id = "count"
kind = "{COMMAND}"
# Files that the step writes into its working directory and that other steps use. With `outputs`, an equal step is not run twice.
with = {{ shell = "seq {{{{ params.lines }}}} > numbers.txt", outputs = {{ numbers = "numbers.txt" }} }}

# This step waits for `count`, because it uses its output.
[[step]]
id = "add"
kind = "{COMMAND}"
with = {{ shell = "awk '{{ s += $1 }} END {{ print s }}' \"$NUMBERS\" > sum.txt", env = {{ NUMBERS = "{{{{ steps.count.outputs.numbers }}}}" }}, outputs = {{ sum = "sum.txt" }} }}

# A script of yours is a step too. `stepwell workflow new --from train.py` writes a file for it.
# [[step]]
# id = "train"
# kind = "{COMMAND}"
# retry = 5                                # tries; 3 by default
# timeout = {{ start_to_close = "12h" }}      # of one attempt
# with = {{ argv = ["python3", "train.py", "--seed", "{{{{ item }}}}"] }}
# for_each = "range(3)"                     # one child step for each of the seeds 0, 1 and 2
"#
    )
}

/// Returns a workflow that runs a script, whose text is `script`. `path` is the script as the workflow names it.
pub fn for_script(file: &str, path: &str, argv: &[String], script: &str) -> String {
    let (name, run) = (name_of(file), shell::quote(file));
    let step = name_of(path);
    let argv: Vec<String> = argv.iter().map(|word| quoted(word)).collect();
    let argv = argv.join(", ");
    let files = written_files(script).into_iter().map(|(key, file)| format!("{key} = {}", quoted(&file)));
    let files = files.collect::<Vec<_>>().join(", ");
    let outputs = match files.is_empty() {
        true => "# outputs = { model = \"model.pt\" }".to_owned(),
        false => format!("outputs = {{ {files} }}"),
    };
    format!(
        r#"# Run it:       stepwell run {run}
# Continue it:  stepwell resume          (after Ctrl-C, a crash, or a failure that is mended)
# Check it:     stepwell workflow validate {run}
name = "{name}"
description = {description}

# Settings of a run: `-S learning_rate=0.01` changes one. Use it below as "{{{{ params.learning_rate }}}}".
[params]
# learning_rate = 0.001

[[step]]
id = "{step}"
kind = "{COMMAND}"
# One child step for each seed, after you add "--seed", "{{{{ item }}}}" to `argv`:
# for_each = "range(3)"
# retry = 5                              # tries; 3 by default
# timeout = {{ start_to_close = "12h" }}   # of one attempt
# resources = {{ gpu = 1 }}                # one GPU of its own; needs `[pools] gpu = ["gpu:0"]` in stepwell.toml

[step.with]
argv = [{argv}]
# The script works in a folder of its own, whose files stay until it succeeds. It resumes after a crash if it loads its
# newest checkpoint at the start, when there is one.
#
# Files that it writes there and that you want to keep. With `outputs`, an equal step is not run twice:
{outputs}
# Files and folders that it reads; a change of them runs the step again:
# inputs = ["data"]
# env = {{ PYTHONUNBUFFERED = "1" }}
"#,
        description = quoted(&format!("Runs {path}")),
    )
}

/// The text of a script; empty for a program, and no more than a person writes.
pub fn text_of(script: &Path) -> String {
    let mut text = Vec::new();
    let read = File::open(script).and_then(|file| file.take(LARGEST_SCRIPT).read_to_end(&mut text));
    match (read, String::from_utf8(text)) {
        (Ok(_), Ok(text)) => text,
        _ => String::new(),
    }
}

/// Returns the words that run a script. `named` is its path as the workflow names it.
///
/// # Errors
/// `Usage` for a file that nothing says how to run, `NotFound` when there is no such file.
pub fn argv_of(script: &Path, named: &str) -> Result<Vec<String>, CliError> {
    let shown = script.display();
    let metadata = match script.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(CliError::not_found(format!("the script `{shown}` does not exist")));
        }
        Err(error) => return Err(CliError::io("read", script, error)),
    };
    if !metadata.is_file() {
        return Err(CliError::usage(format!("`{shown}` is not a file")).hint("name a script, such as `train.py`"));
    }
    let extension = script.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_lowercase();
    let known =
        INTERPRETERS.iter().find(|(known, _)| *known == extension).map(|(_, program)| vec![(*program).to_owned()]);
    let is_executable = metadata.permissions().mode() & 0o111 != 0;
    let interpreter = match known {
        Some(interpreter) => interpreter,
        None if is_executable => {
            // A bare name would be looked for on the PATH.
            return Ok(vec![if named.contains('/') { named.to_owned() } else { format!("./{named}") }]);
        }
        None => shebang(script).map_err(|error| CliError::io("read", script, error))?,
    };
    if interpreter.is_empty() {
        return Err(CliError::usage(format!("nothing says how to run `{shown}`"))
            .hint(format!("make it executable: chmod +x {}", shell::quote(script))));
    }
    Ok(interpreter.into_iter().chain([named.to_owned()]).collect())
}

/// Programs by the extension of what they run.
const INTERPRETERS: &[(&str, &str)] = &[
    ("py", "python3"),
    ("sh", "sh"),
    ("bash", "bash"),
    ("r", "Rscript"),
    ("jl", "julia"),
    ("pl", "perl"),
    ("js", "node"),
    ("rb", "ruby"),
];

/// Returns the words after `#!`, without `/usr/bin/env`; none if the file does not start so.
fn shebang(script: &Path) -> io::Result<Vec<String>> {
    let mut head = Vec::new();
    File::open(script)?.take(LONGEST_SHEBANG).read_to_end(&mut head)?;
    let head = String::from_utf8_lossy(&head);
    let Some(line) = head.lines().next().and_then(|line| line.strip_prefix("#!")) else { return Ok(Vec::new()) };
    let words = line.split_whitespace().map(str::to_owned);
    Ok(words.skip_while(|word| word.ends_with("/env") || word == "-S").collect())
}

/// Makes a name of a workflow or a step from the name of a file.
pub fn name_of(path: &str) -> String {
    const LONGEST: usize = 60;
    let stem = Path::new(path).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    let name: String = stem.chars().take(LONGEST).map(plain).collect();
    let name = name.trim_matches(['_', '-']);
    if name.parse::<stepwell_base::names::RunName>().is_ok() {
        name.to_owned()
    } else {
        format!("workflow_{name}").trim_end_matches('_').to_owned()
    }
}

/// Formats text as a TOML string; those of JSON are TOML too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwell_workflow::parse::{NoLibrary, workflow};

    #[test]
    fn what_is_written_is_valid() {
        for text in [
            example("my flow.toml"),
            for_script(
                "x/train.toml",
                "train.py",
                &["python3".to_owned(), "train.py".to_owned()],
                "torch.save(m, 'a.pt')",
            ),
            for_script("odd.toml", "it's \"odd\" {{ x }}.sh", &["sh".to_owned(), "it's \"odd\".sh".to_owned()], ""),
        ] {
            let parsed = workflow(&text, "w.toml", &[], &stepwell_steps::catalog(), &NoLibrary);
            assert!(parsed.is_ok(), "{text}\n{:?}", parsed.err());
        }
    }

    #[test]
    fn names_are_made_of_file_names() {
        for (path, name) in [
            ("train.toml", "train"),
            ("a/my flow.v2.toml", "my_flow_v2"),
            ("last.toml", "workflow_last"),
            ("日本.toml", "workflow"),
            ("-.toml", "workflow"),
        ] {
            assert_eq!(name_of(path), name);
        }
    }

    #[test]
    fn a_script_is_run_by_its_suffix_its_shebang_or_itself() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str, mode: u32| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            argv_of(&path, name).map_err(|error| error.message())
        };
        assert_eq!(write("a.py", "", 0o644).unwrap(), ["python3", "a.py"]);
        assert_eq!(write("b.sh", "#!/bin/bash\n", 0o755).unwrap(), ["sh", "b.sh"]);
        assert_eq!(write("c", "#!/usr/bin/env -S python3 -u\n", 0o644).unwrap(), ["python3", "-u", "c"]);
        assert_eq!(write("d", "\x7fELF", 0o755).unwrap(), ["./d"]);
        assert!(write("e", "text", 0o644).unwrap_err().contains("nothing says how to run"));
        assert!(argv_of(dir.path(), "x").unwrap_err().message().contains("is not a file"));
        assert!(argv_of(&dir.path().join("no"), "no").unwrap_err().message().contains("does not exist"));
    }
}
