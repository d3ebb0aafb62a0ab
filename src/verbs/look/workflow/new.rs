//! `stepwell workflow new [FILE] [--from SCRIPT]`

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::drive::starter;
use crate::error::{CliError, ErrorKind};
use crate::session::Session;
use stepwell_base::shell;

/// Write a workflow file to start from, with comments
///
/// Without `--from`, it is a small example that runs as it is. With `--from`, it runs that script. An existing file is
/// never overwritten.
#[derive(Args, Debug)]
pub struct WorkflowNewArgs {
    /// File to write [default: workflow.toml, or that of the script: train.toml for train.py]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Script that the workflow runs: Python, shell, or anything executable
    #[arg(long, value_name = "SCRIPT")]
    pub from: Option<PathBuf>,
}

pub fn new(session: &Session, args: &WorkflowNewArgs) -> Result<(), CliError> {
    let file = file(args)?;
    let text = match &args.from {
        None => starter::example(&file),
        Some(script) => {
            let named = seen_from(Path::new(&file), script)?;
            let argv = starter::argv_of(script, &named)?;
            starter::for_script(&file, &named, &argv, &starter::text_of(script))
        }
    };
    write(Path::new(&file), &text)?;
    let run = shell::stepwell("run", [&*file]);
    session.out.document(&format!("wrote {file}: {run} runs it"), json!({ "file": file }))
}

/// The path of the file to write.
fn file(args: &WorkflowNewArgs) -> Result<String, CliError> {
    let file = match (&args.file, &args.from) {
        (Some(file), _) => file.clone(),
        (None, Some(script)) => Path::new(script.file_name().unwrap_or_default()).with_extension("toml"),
        (None, None) => PathBuf::from("workflow.toml"),
    };
    let shown = file.display().to_string();
    if args.from.is_none() && is_script(&file) {
        let from = shell::stepwell(&format!("workflow new --from {}", shell::quote(&file)), []);
        return Err(CliError::usage(format!("`{shown}` is no name of a workflow file, which ends in `.toml`"))
            .hint(format!("{from} writes a workflow that runs it")));
    }
    if file.extension().is_none_or(|extension| extension != "toml") {
        let named = file.with_extension("toml");
        return Err(CliError::usage(format!("`{shown}` is no name of a workflow file, which ends in `.toml`"))
            .hint(format!("name it `{}`", named.display())));
    }
    file.to_str().map(str::to_owned).ok_or_else(|| CliError::usage(format!("`{shown}` is not UTF-8 text")))
}

fn is_script(path: &Path) -> bool {
    path.is_file() && path.extension().is_none_or(|extension| extension != "toml")
}

/// The path of the script as the workflow's folder sees it: relative if it lies in that folder or below.
fn seen_from(file: &Path, script: &Path) -> Result<String, CliError> {
    let full = match script.canonicalize() {
        Ok(full) => full,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(CliError::not_found(format!("the script `{}` does not exist", script.display())));
        }
        Err(error) => return Err(CliError::io("read", script, error)),
    };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().map_err(|error| CliError::io("write into", folder, error))?;
    let seen = full.strip_prefix(&folder).unwrap_or(&full);
    seen.to_str()
        .map(str::to_owned)
        .ok_or_else(|| CliError::usage(format!("the path of `{}` is not UTF-8 text", script.display())))
}

/// Writes a new file.
///
/// # Errors
/// `Exists` when there is one; `Io`.
fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let opened = OpenOptions::new().write(true).create_new(true).open(path);
    match opened.and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(CliError::new(ErrorKind::Exists, format!("`{}` exists already", path.display()))
                .hint("name another file, as in `stepwell workflow new FILE.toml`"))
        }
        Err(error) => Err(CliError::io("write", path, error)),
    }
}
