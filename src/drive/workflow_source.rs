//! Finds a workflow by name: a path, then `./workflows/NAME.toml`, then those inside the binary.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::mistakes::{Shape, from_script, no_workflow, shape_of};
use crate::error::CliError;
use crate::view::output;
use stepwell_base::{shell, suggest};
use stepwell_workflow::parse::{Library, Source};

/// Workflows embedded in the binary, so that it works outside the repository.
pub const EMBEDDED: &[(&str, &str)] = &[
    #[cfg(feature = "train")]
    ("quickstart", include_str!("../../workflows/quickstart.toml")),
    #[cfg(feature = "train")]
    ("pretrain", include_str!("../../workflows/pretrain.toml")),
    #[cfg(feature = "train")]
    ("smoke", include_str!("../../workflows/smoke.toml")),
    ("commands", include_str!("../../workflows/commands.toml")),
    ("batch", include_str!("../../workflows/batch.toml")),
    ("matrix", include_str!("../../workflows/matrix.toml")),
    ("evaluate", include_str!("../../workflows/evaluate.toml")),
    #[cfg(feature = "train")]
    ("curriculum", include_str!("../../workflows/curriculum.toml")),
    #[cfg(feature = "train")]
    ("study", include_str!("../../workflows/study.toml")),
    #[cfg(feature = "train")]
    ("sft", include_str!("../../workflows/sft.toml")),
    #[cfg(feature = "train")]
    ("constitutional", include_str!("../../workflows/constitutional.toml")),
    ("import-model", include_str!("../../workflows/import-model.toml")),
];

/// What follows the name of an embedded workflow in messages.
pub const EMBEDDED_ORIGIN: &str = ".toml (embedded)";

/// The workflows that a person can name.
pub struct Files;

impl Library for Files {
    /// A path is relative to the folder of the file that names it.
    fn find(&self, workflow: &str, from: &str) -> Result<Source, String> {
        let beside = Path::new(from).parent().map(|folder| folder.join(workflow));
        let found = match beside {
            Some(path) if looks_like_path(workflow) => find(&path.to_string_lossy()),
            _ => find(workflow),
        };
        found.map_err(|error| error.message())
    }

    fn inside(&self, _workflow: &str) -> &dyn Library {
        self
    }
}

fn looks_like_path(workflow: &str) -> bool {
    workflow.ends_with(".toml") || workflow.contains(std::path::MAIN_SEPARATOR)
}

/// Finds a workflow by name or path.
///
/// # Errors
/// `NotFound` when nothing has the name, `Usage` when the match is not a workflow.
pub fn find(workflow: &str) -> Result<Source, CliError> {
    let direct = Path::new(workflow);
    let local = PathBuf::from("workflows").join(format!("{workflow}.toml"));
    for path in [direct, &local] {
        if path.is_file() {
            return if is_workflow(path) { read(path) } else { Err(no_workflow(workflow)) };
        }
    }
    match EMBEDDED.iter().find(|(name, _)| *name == workflow) {
        Some((name, text)) => {
            let origin = format!("{name}{EMBEDDED_ORIGIN}");
            Ok(Source { origin, text: (*text).to_owned(), folder: PathBuf::new() })
        }
        None if direct.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir()) => {
            let message = format!("`{workflow}` is a pipe or a device: a workflow is read from a regular file");
            Err(CliError::usage(message).hint("save its text to a file first"))
        }
        None if direct.exists() => Err(no_workflow(workflow)),
        None => Err(missing(workflow)),
    }
}

/// The refusal of a name that nothing has, with the nearest name or file.
fn missing(workflow: &str) -> CliError {
    let is_path = looks_like_path(workflow);
    let error = CliError::not_found(match is_path {
        true => format!("workflow file {workflow} does not exist"),
        false => format!("there is no workflow `{workflow}`"),
    });
    let run = |near: &str| format!("did you mean {}?", shell::stepwell("run", [near]));
    if !is_path && let Some(near) = suggest::nearest(workflow, names().iter().map(String::as_str)) {
        return error.hint(run(near));
    }
    match near_file(workflow) {
        Some(full) if is_workflow(Path::new(&full)) => error.hint(run(&full)),
        Some(full) if shape_of(Path::new(&full)) == Shape::Script => error.hint(from_script(&full)),
        _ if is_path => error.hint("`stepwell workflow list` names those that need no file"),
        _ => error.hint("`stepwell workflow list` names them; a path to a TOML file works too"),
    }
}

/// The file that a path without a file probably means: one with another extension, or a name that is spelled nearly so.
pub fn near_file(wanted: &str) -> Option<String> {
    let path = Path::new(wanted);
    let (stem, name) = (path.file_stem()?.to_str()?, path.file_name()?.to_str()?);
    let known = files_beside(path);
    let same = known.iter().find(|(file, _)| Path::new(file).file_stem().is_some_and(|known| known == stem));
    let near = || {
        let near = suggest::nearest(name, known.iter().map(|(file, _)| file.as_str()))?;
        known.iter().find(|(file, _)| file == near)
    };
    same.or_else(near).map(|(_, full)| full.clone())
}

/// The files in the folder of a path: names and full paths, at most a thousand.
fn files_beside(path: &Path) -> Vec<(String, String)> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = std::fs::read_dir(folder.unwrap_or(Path::new("."))).into_iter().flatten().flatten().take(1000);
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let mut found: Vec<(String, String)> = files
        .filter_map(|entry| {
            let name = entry.file_name().to_str()?.to_owned();
            let full = folder.map_or(PathBuf::from(&name), |folder| folder.join(&name));
            Some((name, full.to_str()?.to_owned()))
        })
        .collect();
    found.sort();
    found
}

/// Returns `path` if it is training text (a file, a folder, a glob, an address or a built-in corpus) and no workflow has
/// that name.
pub fn corpus(path: &str) -> Option<&str> {
    let is_text = match find(path) {
        Ok(_) => false,
        // A workflow that cannot be read.
        Err(_) if path.ends_with(".toml") => false,
        Err(_) if Path::new(path).exists() => true,
        Err(_) => path.contains(['*', '?', '[', '{']) || ELSEWHERE.iter().any(|start| path.starts_with(start)),
    };
    is_text.then_some(path)
}

/// Starts of sources that are no paths.
const ELSEWHERE: [&str; 4] = ["builtin:", "http://", "https://", "hf://"];

/// Largest workflow file in bytes; a hundred thousand steps take a tenth of it.
const MAXIMUM_BYTES: u64 = 64 << 20;
/// A file without the `.toml` ending must have its first step within these bytes.
const HEAD_BYTES: u64 = 1 << 20;

/// Accepts any file that ends in `.toml`; others must look like a workflow.
fn is_workflow(path: &Path) -> bool {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => return true,
        // A page may quote a workflow.
        Some("md") => return false,
        _ => {}
    }
    let head = read_up_to(path, HEAD_BYTES).unwrap_or_default();
    head.split(|byte| *byte == b'\n').any(|line| line.trim_ascii_start().starts_with(b"[[step"))
}

fn read_up_to(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a workflow file.
///
/// # Errors
/// `Usage` when it cannot be read, is too large, or is not UTF-8 text.
pub fn read(path: &Path) -> Result<Source, CliError> {
    let origin = path.display().to_string();
    let refused = |why: String| CliError::usage(format!("cannot read workflow {origin}: {why}"));
    let bytes = read_up_to(path, MAXIMUM_BYTES + 1).map_err(|error| refused(error.to_string()))?;
    if bytes.len() as u64 > MAXIMUM_BYTES {
        let limit = output::bytes(MAXIMUM_BYTES);
        return Err(refused(format!("it has more than {limit}"))
            .hint("let a step fan out with `for_each` instead of writing each step"));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source { origin, text, folder: folder_of(path) }),
        Err(error) => Err(refused(error.utf8_error().to_string()).hint("save the file as UTF-8 text")),
    }
}

/// Absolute path of the folder of a file.
fn folder_of(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.parent().map(Path::to_owned).unwrap_or_default()
}

/// The workflows that need no path.
pub fn names() -> Vec<String> {
    let mut names: Vec<String> = EMBEDDED.iter().map(|(name, _)| (*name).to_owned()).collect();
    if let Ok(folder) = std::fs::read_dir("workflows") {
        let paths = folder.filter_map(|entry| Some(entry.ok()?.path()));
        let tomls = paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
        names.extend(tomls.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())));
    }
    names.sort();
    names.dedup();
    names
}
