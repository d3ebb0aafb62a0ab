//! A file or a folder in place of a workflow, and what to do with it.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::CliError;
use stepwell_base::shell;

/// Bytes at the beginning of a file that tell text from other data.
const HEAD_BYTES: u64 = 4096;
/// Most entries of a folder to look at.
const MOST_ENTRIES: usize = 1000;

/// The sort of file, by its name and its first bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    Folder,
    /// A program in text form.
    Script,
    /// An executable file that is no text.
    Program,
    Notebook,
    Yaml,
    Json,
    /// Neither text nor compressed text.
    Binary,
    Text,
}

pub fn shape_of(path: &Path) -> Shape {
    const SCRIPTS: [&str; 9] = ["py", "sh", "bash", "zsh", "r", "jl", "pl", "js", "rb"];
    if path.is_dir() {
        return Shape::Folder;
    }
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_lowercase();
    match extension.as_str() {
        "ipynb" => return Shape::Notebook,
        "yaml" | "yml" => return Shape::Yaml,
        "json" => return Shape::Json,
        "gz" | "gzip" | "zst" | "zstd" => return Shape::Text,
        known if SCRIPTS.contains(&known) => return Shape::Script,
        _ => {}
    }
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut head));
    let is_executable = || path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0);
    let is_utf16 = head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff");
    match read {
        Ok(_) if head.starts_with(b"#!") => Shape::Script,
        Ok(_) if head.contains(&0) && !is_utf16 && is_executable() => Shape::Program,
        Ok(_) if head.contains(&0) && !is_utf16 => Shape::Binary,
        _ => Shape::Text,
    }
}

/// The refusal to run something as a workflow that is none.
pub fn no_workflow(path: &str) -> CliError {
    let refused = |what: &str| CliError::usage(format!("`{path}` is no workflow{what}"));
    let train = || format!("{} trains a model on its text", shell::stepwell("start-training", [path]));
    match shape_of(Path::new(path)) {
        Shape::Folder => {
            let error = refused(", it is a folder");
            match workflows_in(Path::new(path)).as_slice() {
                [] => error.hint(format!("{} trains a model on the texts in it", shell::stepwell("start-training", [path]))),
                [one] => error.hint(format!("{} runs the workflow in it", shell::stepwell("run", [one.as_str()]))),
                many => error.hint(format!("name one of the files in it: {}", many.join(", "))),
            }
        }
        Shape::Script => refused(", it is a script").hint(from_script(path)),
        Shape::Program => refused(", it is a program").hint(from_script(path)),
        Shape::Notebook => refused(", it is a notebook").hint(format!(
            "save it as a script (jupyter nbconvert --to script {}); `stepwell workflow new --from SCRIPT.py` writes a workflow that runs it",
            shell::quote(path)
        )),
        Shape::Yaml => refused(": workflows are TOML files").hint("`stepwell workflow new` writes one to start from"),
        Shape::Json => refused(": workflows are TOML files").hint(train()).hint("`stepwell workflow new` writes a workflow to start from"),
        Shape::Binary => refused(", and no text either").hint("`stepwell workflow new` writes a workflow to start from"),
        Shape::Text => refused(": that is a TOML file with `[[step]]` tables").hint(train()),
    }
}

pub fn from_script(path: &str) -> String {
    let new = shell::stepwell(&format!("workflow new --from {}", shell::quote(path)), []);
    format!("{new} writes a workflow that runs it")
}

/// The TOML files of a folder, by name, at most ten.
fn workflows_in(folder: &Path) -> Vec<String> {
    let entries =
        std::fs::read_dir(folder).into_iter().flatten().take(MOST_ENTRIES).flatten().map(|entry| entry.path());
    let is_toml =
        |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "toml") && path.is_file();
    let mut found: Vec<String> = entries.filter(is_toml).filter_map(|path| path.to_str().map(str::to_owned)).collect();
    found.sort();
    found.truncate(10);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_by_name_and_content() {
        let dir = tempfile::tempdir().unwrap();
        for (name, content, shape) in [
            ("a.py", &b""[..], Shape::Script),
            ("run", b"#!/bin/sh\n", Shape::Script),
            ("a.yml", b"", Shape::Yaml),
            ("a.json", b"{}", Shape::Json),
            ("a.ipynb", b"{}", Shape::Notebook),
            ("a.bin", b"\x7fELF\0\0", Shape::Binary),
            ("a.txt.gz", b"\x1f\x8b\0", Shape::Text),
            ("utf16.txt", b"\xff\xfea\0", Shape::Text),
            ("a.txt", b"text", Shape::Text),
            ("empty", b"", Shape::Text),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, content).unwrap();
            assert_eq!(shape_of(&path), shape, "{name}");
        }
        assert_eq!(shape_of(dir.path()), Shape::Folder);
    }
}
