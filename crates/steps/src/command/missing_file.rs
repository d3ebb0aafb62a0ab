//! Explains the working directory to a person whose program did not find a file: the most frequent first failure.

use std::path::{Component, Path, PathBuf};

use crate::{StepContext, StepError};
use stepwell_base::failure::{Failure, FailureKind, ProgramExit};

use super::files::PROJECT_DIR;
use super::log::last_lines;
use super::start_failure::Start;

/// Lines of the log to search for the name of the file.
const LINES: usize = 30;
/// Messages of programs about a missing file.
const SAID: [&str; 6] =
    ["No such file or directory", "can't open file", "FileNotFoundError", "cannot open", "cannot find", "not found"];
/// Characters that surround the name of a file in a message.
const SEPARATORS: [char; 13] = [' ', '\t', '\n', '\'', '"', '`', ',', ';', '(', ')', '[', ']', ':'];

/// Adds to the hint of a failure where the program looked for a file, if that seems to be the cause.
pub(super) fn explain(error: StepError, start: &Start<'_>, context: &StepContext<'_>) -> StepError {
    let StepError::Failed(failure) = error else { return error };
    // Only a program that failed by itself can have missed a file.
    let log = if failure.exit.is_some() { last_lines(&context.request.log_path(), LINES) } else { String::new() };
    let kind = if lacks_program(&log, failure.exit) { FailureKind::Fatal } else { failure.kind };
    match hint(&log, start) {
        Some(why) => {
            let hint = failure.hint.as_ref().map_or_else(|| why.clone(), |hint| format!("{why}; {hint}"));
            StepError::Failed(Failure { hint: Some(hint), kind, ..failure })
        }
        None => StepError::Failed(Failure { kind, ..failure }),
    }
}

/// True if an interpreter did not find its script, or a shell its program: another attempt would find neither.
fn lacks_program(log: &str, exit: Option<ProgramExit>) -> bool {
    let last = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    match exit {
        // Python and Perl.
        Some(ProgramExit::Code(2)) => {
            (last.contains("can't open file") || last.contains("Can't open perl script"))
                && last.contains("No such file or directory")
        }
        Some(ProgramExit::Code(127)) => last.contains("not found") || last.contains("No such file or directory"),
        _ => false,
    }
}

fn hint(log: &str, start: &Start<'_>) -> Option<String> {
    if !SAID.iter().any(|said| log.contains(said)) || start.work == start.project.folder() {
        return None;
    }
    let work = start.work.display();
    let words = start.command_line.iter().filter_map(|word| word.to_str()).chain([log]);
    let names = words.flat_map(|text| text.split(SEPARATORS)).filter_map(|word| missing(word, start.work));
    match names.filter_map(|name| Some((start.project.own(&name)?, name))).next() {
        Some((path, name)) => Some(format!(
            "`{}` exists, but the program works in `{work}`, a folder of its own: write \"${PROJECT_DIR}/{}\" in a script, \
             or name the file in `argv` or `inputs`; with `cwd = \".\"` it works in the folder of the workflow file",
            path.display(),
            name.display()
        )),
        None => Some(format!(
            "the program works in `{work}`, a folder of its own, which keeps files between attempts; ${PROJECT_DIR} is \
             the folder of the workflow file"
        )),
    }
}

/// The name of a file relative to the working directory, if `word` names one that does not exist there.
fn missing(word: &str, work: &Path) -> Option<PathBuf> {
    let path = Path::new(word);
    let name = path.strip_prefix(work).unwrap_or(path);
    let is_name = name.components().any(|part| matches!(part, Component::Normal(_))) && name.is_relative();
    (is_name && !work.join(name).exists()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;

    use super::*;
    use crate::command::files::Project;

    #[test]
    fn a_script_that_does_not_exist_is_not_tried_again() {
        let python = "python3: can't open file '/w/gone.py': [Errno 2] No such file or directory";
        for (log, code, expected) in [
            (python, 2, true),
            ("sh: 1: ./gone.sh: not found", 127, true),
            ("bash: line 1: ./gone.sh: No such file or directory\n", 127, true),
            ("FileNotFoundError: [Errno 2] No such file or directory: 'data.txt'", 1, false),
            ("usage: x\nerror: the argument --lr is missing", 2, false),
            (&format!("{python}\nnetwork unreachable"), 2, false),
            ("sh: 1: ./gone.sh: not found", 1, false),
        ] {
            assert_eq!(lacks_program(log, Some(ProgramExit::Code(code))), expected, "{log}");
        }
        assert!(!lacks_program(python, Some(ProgramExit::Signal(9))));
    }

    #[test]
    fn the_file_that_was_meant_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (work, project) = (dir.path().join("work"), dir.path().join("project"));
        fs::create_dir_all(project.join("data")).unwrap();
        fs::create_dir(&work).unwrap();
        for path in ["project/train.py", "project/data/a.txt", "project/there", "work/there"] {
            fs::write(dir.path().join(path), "").unwrap();
        }
        let told = |log: &str, argv: &[&str]| {
            let command_line: Vec<OsString> = argv.iter().map(OsString::from).collect();
            hint(log, &Start { command_line: &command_line, variables: &[], work: &work, project: Project(&project) })
        };
        let python = format!(
            "python3: can't open file '{}': [Errno 2] No such file or directory",
            work.join("train.py").display()
        );
        for (log, argv, name) in [
            (&*python, &["/bin/sh", "-euc", "python3 train.py"][..], "train.py"),
            ("cat: data/a.txt: No such file or directory", &["sh", "-c", "cat data/a.txt"], "data/a.txt"),
            ("FileNotFoundError: [Errno 2] No such file or directory: 'data'", &["x", "--data", "data"], "data"),
        ] {
            let told = told(log, argv).unwrap();
            assert!(told.contains(&format!("\"$STEPWELL_PROJECT_DIR/{name}\"")), "{told}");
        }
        let general = told("sh: there: not found", &["there"]).unwrap();
        assert!(general.contains("keeps files between attempts"), "{general}");
        assert_eq!(told("ValueError: x", &["python3", "train.py"]), None);
    }
}
