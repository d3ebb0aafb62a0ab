//! Finds a workflow by name: a path, then `./workflows/NAME.toml`, then those inside the binary.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::error::CliError;
use crate::view::output;
use stepwell_base::shell;
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
];

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
        Some((name, text)) => Ok(Source { origin: format!("{name}.toml (embedded)"), text: (*text).to_owned() }),
        None if direct.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir()) => {
            let message = format!("`{workflow}` is a pipe or a device: a workflow is read from a regular file");
            Err(CliError::usage(message).hint("save its text to a file first"))
        }
        None if direct.exists() => Err(no_workflow(workflow)),
        None if looks_like_path(workflow) => {
            Err(CliError::not_found(format!("workflow file {workflow} does not exist"))
                .hint("`stepwell workflow list` names those that need no file"))
        }
        None => Err(CliError::not_found(format!("there is no workflow `{workflow}`"))
            .hint("`stepwell workflow list` names them; a path to a TOML file works too")),
    }
}

/// Returns `path` if it is training text (a file, a folder, a glob or a built-in corpus) and no workflow has that name.
pub fn corpus(path: &str) -> Option<&str> {
    let is_text = match find(path) {
        Ok(_) => false,
        Err(_) if Path::new(path).exists() => true,
        Err(_) => path.contains(['*', '?', '[', '{']) || path.starts_with("builtin:"),
    };
    is_text.then_some(path)
}

/// Largest workflow file in bytes; a hundred thousand steps take a tenth of it.
const MAXIMUM_BYTES: u64 = 64 << 20;
/// A file without the `.toml` ending must have its first step within these bytes.
const HEAD_BYTES: u64 = 1 << 20;

/// Accepts any file that ends in `.toml`; others must look like a workflow.
fn is_workflow(path: &Path) -> bool {
    if path.extension().is_some_and(|extension| extension == "toml") {
        return true;
    }
    let head = read_up_to(path, HEAD_BYTES).unwrap_or_default();
    head.split(|byte| *byte == b'\n').any(|line| line.trim_ascii_start().starts_with(b"[[step"))
}

fn read_up_to(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read(path: &Path) -> Result<Source, CliError> {
    let origin = path.display().to_string();
    let refused = |why: String| CliError::usage(format!("cannot read workflow {origin}: {why}"));
    let bytes = read_up_to(path, MAXIMUM_BYTES + 1).map_err(|error| refused(error.to_string()))?;
    if bytes.len() as u64 > MAXIMUM_BYTES {
        let limit = output::bytes(MAXIMUM_BYTES);
        return Err(refused(format!("it has more than {limit}"))
            .hint("let a step fan out with `for_each` instead of writing each step"));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source { origin, text }),
        Err(error) => Err(refused(error.utf8_error().to_string()).hint("save the file as UTF-8 text")),
    }
}

fn no_workflow(path: &str) -> CliError {
    CliError::usage(format!("`{path}` is no workflow: that is a TOML file with `[[step]]` tables"))
        .hint(format!("{} trains a model on its text", shell::stepwell("start-training", [path])))
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
