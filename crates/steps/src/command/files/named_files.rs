//! Finds files that a command line names. The program may read any of them, and an edited script must not give old
//! results, so all that exist count.

use std::path::{Component, Path, PathBuf};

use super::super::arguments::Arguments;
use super::project::{Project, named_by_variable};

/// Maximum size of a file that counts. A larger one is data and slow to read: it belongs in `inputs`.
pub(in crate::command) const LARGEST: u64 = 64 << 20;

/// A path that a command line names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::command) struct NamedFile {
    /// Name in the step's key: independent of where the project is.
    pub name: PathBuf,
    pub path: PathBuf,
}

/// Returns the files that count for the step's key, without duplicates.
pub(in crate::command) fn counted(arguments: &Arguments, project: Project<'_>) -> Vec<NamedFile> {
    let mut found: Vec<NamedFile> = Vec::new();
    for file in named(arguments, project) {
        let counts = file.path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() <= LARGEST);
        if counts && !found.iter().any(|known| known.name == file.name) {
            found.push(file);
        }
    }
    found
}

/// Returns the paths that elements of `argv` and words of scripts may stand for, resolved as the program resolves them.
/// Excludes declared outputs.
pub(in crate::command) fn named(arguments: &Arguments, project: Project<'_>) -> impl Iterator<Item = NamedFile> {
    let is_on = arguments.argv_files.unwrap_or(true);
    let words = arguments.argv.iter().enumerate().filter_map(|(index, word)| Some((index, word.as_str()?)));
    let in_argv = words.filter_map(move |(index, text)| element(arguments, project, index, text));
    let scripts =
        arguments.shell.iter().map(String::as_str).chain(arguments.argv.get(2).and_then(|word| word.as_str()));
    let in_scripts = scripts.flat_map(named_by_variable);
    let in_scripts = in_scripts.map(move |name| NamedFile { name: name.to_owned(), path: project.folder().join(name) });
    in_argv.chain(in_scripts).filter(move |file| is_on && !is_output(arguments, &file.name))
}

fn element(arguments: &Arguments, project: Project<'_>, index: usize, text: &str) -> Option<NamedFile> {
    let (_, name) = file_name(index, text)?;
    let own = |name: &Path| NamedFile { name: name.to_owned(), path: project.0.join(name) };
    match (&arguments.cwd, Path::new(name)) {
        (_, path) if path.is_absolute() => Some(NamedFile { name: path.to_owned(), path: path.to_owned() }),
        (Some(folder), path) => Some(NamedFile { name: folder.join(path), path: project.find(folder).join(path) }),
        (None, path) if is_in_project(arguments, project, path) => Some(own(path)),
        // The step's own folder starts empty, so its content comes from the program.
        (None, _) => None,
    }
}

/// Splits an element of `argv` into an option and the name of a file; `None` if it cannot name a file.
fn file_name(index: usize, text: &str) -> Option<(&str, &str)> {
    // Matches `--config=FILE`; any other option does not name a file.
    let (option, name) = match text.split_once('=') {
        Some((option, name)) if text.starts_with('-') => (&text[..=option.len()], name),
        _ if text.starts_with('-') => return None,
        _ => ("", text),
    };
    // A program without a slash is looked up in PATH.
    let is_name = !name.is_empty() && !name.contains(['\0', '\n']) && (index > 0 || name.contains('/'));
    is_name.then_some((option, name))
}

/// True if a relative path stands for a file of the project, or for one of the inputs there. A number is no name.
fn is_in_project(arguments: &Arguments, project: Project<'_>, name: &Path) -> bool {
    let is_number = name.to_str().is_some_and(|text| text.parse::<f64>().is_ok());
    let is_input = || arguments.inputs.iter().any(|input| plain(name).starts_with(plain(input)));
    !is_number && project.own(name).is_some_and(|path| path.is_file() || is_input())
}

/// Replaces each element of `argv` that stands for a file of the project with its absolute path, unless the step has a
/// `cwd`: the program then finds the file itself.
pub(in crate::command) fn resolve(arguments: &mut Arguments, project: Project<'_>) {
    let resolved = |index: usize, text: &str| {
        let (option, name) = file_name(index, text)?;
        let name = Path::new(name);
        let stands = name.is_relative() && is_in_project(arguments, project, name) && !is_output(arguments, name);
        // A path that is not text stays as it is.
        stands.then(|| Some(format!("{option}{}", project.0.join(plain(name)).to_str()?))).flatten()
    };
    if arguments.cwd.is_some() {
        return;
    }
    let words = arguments.argv.iter().enumerate();
    let words = words.map(|(index, word)| word.as_str().and_then(|text| resolved(index, text)).map(Into::into));
    let words: Vec<Option<serde_json::Value>> = words.collect();
    for (word, resolved) in arguments.argv.iter_mut().zip(words) {
        if let Some(resolved) = resolved {
            *word = resolved;
        }
    }
}

/// The path without `.` in it.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

fn is_output(arguments: &Arguments, name: &Path) -> bool {
    arguments.outputs.values().any(|output| plain(name).starts_with(place(arguments, output)))
}

fn place(arguments: &Arguments, output: &Path) -> PathBuf {
    plain(&arguments.cwd.as_ref().map_or_else(|| output.to_owned(), |folder| folder.join(output)))
}

/// True if a declared output is this path or a folder above it.
pub(in crate::command) fn holds_output(arguments: &Arguments, name: &Path) -> bool {
    arguments.outputs.values().any(|output| place(arguments, output).starts_with(plain(name)))
}

/// True if one of the inputs is this file or a folder above it.
pub(in crate::command) fn covers(inputs: &[PathBuf], project: Project<'_>, path: &Path) -> bool {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    inputs.iter().any(|input| absolute(path).starts_with(absolute(&project.find(input))))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::*;

    fn resolved(project: &Path, with: Value) -> Vec<String> {
        let mut arguments: Arguments = serde_json::from_value(with).unwrap();
        resolve(&mut arguments, Project(project));
        let relative = |word: &Value| word.as_str().unwrap().replace(&format!("{}/", project.display()), "@/");
        arguments.argv.iter().map(relative).collect()
    }

    #[test]
    fn elements_that_name_files_of_the_project_become_their_paths() {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path();
        fs::create_dir_all(project.join("data")).unwrap();
        for name in ["train.py", "data/a.txt", "conf.toml", "out.txt", "3", "0.1", "sh"] {
            fs::write(project.join(name), "").unwrap();
        }
        for (argv, expected) in [
            (json!(["python3", "train.py"]), vec!["python3", "@/train.py"]),
            (json!(["./train.py", "./data/a.txt"]), vec!["@/train.py", "@/data/a.txt"]),
            (json!(["sh", "--config=conf.toml", "-f", "gone.py"]), vec!["sh", "--config=@/conf.toml", "-f", "gone.py"]),
            (json!(["x", "3", "0.1", "--lr=0.1"]), vec!["x", "3", "0.1", "--lr=0.1"]),
            (
                json!(["x", "data", "-train.py", "out.txt", "./out.txt"]),
                vec!["x", "data", "-train.py", "out.txt", "./out.txt"],
            ),
        ] {
            assert_eq!(resolved(project, json!({ "argv": argv, "outputs": { "o": "out.txt" } })), expected, "{argv}");
        }
        let with = json!({ "argv": ["x", "data"], "inputs": ["./data"] });
        assert_eq!(resolved(project, with), ["x", "@/data"], "an input may be a folder");
        let with = json!({ "argv": ["python3", "train.py"], "cwd": "." });
        assert_eq!(resolved(project, with.clone()), ["python3", "train.py"]);
        assert_eq!(resolved(Path::new(""), json!({ "argv": ["python3", "train.py"] })), ["python3", "train.py"]);
    }

    #[test]
    fn names_in_the_key_do_not_tell_where_the_project_is() {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path();
        for name in ["p.py", "conf.toml", "o"] {
            fs::write(project.join(name), "").unwrap();
        }
        let names = |with: Value| -> Vec<String> {
            let arguments: Arguments = serde_json::from_value(with).unwrap();
            let found = counted(&arguments, Project(project));
            assert!(found.iter().all(|file| file.path.starts_with(project)));
            found.into_iter().map(|file| file.name.display().to_string()).collect()
        };
        let argv = json!(["python3", "p.py", "--config=conf.toml", "p.py", "gone", "o"]);
        assert_eq!(names(json!({ "argv": argv, "outputs": { "o": "o" } })), ["p.py", "conf.toml"]);
        assert_eq!(names(json!({ "argv": argv, "cwd": ".", "outputs": { "o": "o" } })), ["./p.py", "./conf.toml"]);
        assert_eq!(names(json!({ "shell": "sh \"$STEPWELL_PROJECT_DIR/p.py\" p.py" })), ["p.py"]);
        assert_eq!(names(json!({ "argv": argv, "argv_files": false })), Vec::<String>::new());
    }
}
