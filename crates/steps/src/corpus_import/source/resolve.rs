//! Finds the files that a `source` names: a file, a folder or a glob. Sorts them by source, then by name.

use std::io;
use std::path::{Path, PathBuf};

use super::formats::{self, Compression, Format, KNOWN};
use super::pattern::{Pattern, is_glob};
use super::walk::{Walk, WalkError};
use crate::command::Project;
use crate::corpus_import::findings::Findings;
use crate::invisible;
use stepwell_base::failure::Failure;
use stepwell_base::shell::quote;

/// One file to read. `name` is relative to the folder or to the glob's literal prefix, with `/` between parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceFile {
    pub path: PathBuf,
    pub name: String,
    pub format: Format,
    pub compression: Compression,
    /// Address of a file that was downloaded.
    pub url: Option<String>,
}

impl SourceFile {
    /// The file in messages: its address, or its path.
    pub fn shown(&self) -> String {
        self.url.clone().unwrap_or_else(|| self.path.display().to_string())
    }

    /// A downloaded file, whose name gives its format.
    pub fn downloaded(path: PathBuf, name: String, url: String) -> SourceFile {
        let (format, compression) = formats::of(Path::new(&name));
        SourceFile { path, name, format: format.unwrap_or(Format::Text), compression, url: Some(url) }
    }
}

/// The files that a list of sources names.
#[derive(Clone, Debug, Default)]
pub struct SourceFiles {
    pub files: Vec<SourceFile>,
    /// Number of files in folders that were skipped for their extension.
    pub skipped: u64,
    /// Other entries that were skipped.
    pub findings: Findings,
}

/// Adds the files of one source. A relative path starts at the project if something is there, else at the directory of the
/// process; a glob is searched in the project first. Names do not depend on which it was.
///
/// # Errors
/// When the path is missing or unreadable, or nothing in it can be imported.
pub fn resolve(source: &str, project: Project<'_>, into: &mut SourceFiles) -> Result<(), Failure> {
    if source.trim().is_empty() {
        return Err(Failure::fatal("no corpus was given: `source` is empty").with_hint(
            "name a file, a folder or a glob; with the workflow `pretrain`: `stepwell start-training PATH`",
        ));
    }
    let path = &project.find(Path::new(source));
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => folder(path, into),
        Ok(metadata) if metadata.is_file() => {
            into.files.push(named(path, file_name(path)));
            Ok(())
        }
        // Opening a pipe would block until its other end opens.
        Ok(_) => Err(Failure::fatal(format!("corpus source {} is neither a file nor a folder", shown(path)))
            .with_hint("name a regular file, a folder or a glob")),
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_glob(source) => {
            if project.is_known() {
                let mut found = into.clone();
                if glob(source, project.0, project, &mut found).is_ok() {
                    *into = found;
                    return Ok(());
                }
            }
            glob(source, Path::new(""), project, into)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.read_link().is_err() => {
            Err(Failure::fatal(format!("corpus source {} does not exist", shown(path)))
                .with_hint(format!("check the path; a relative one starts at {}", project.start_of_paths())))
        }
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn folder(folder: &Path, into: &mut SourceFiles) -> Result<(), Failure> {
    let before = into.files.len();
    let mut skipped = 0;
    for path in list(folder, None, &mut into.findings)? {
        if formats::of(&path).0.is_some() {
            let name = relative_name(folder, &path);
            into.files.push(named(&path, name));
        } else {
            skipped += 1;
        }
    }
    into.skipped += skipped;
    if into.files.len() > before {
        return Ok(());
    }
    let message = format!("corpus folder {} has no file to import ({skipped} with other extensions)", shown(folder));
    Err(with_findings(message, &into.findings).with_hint(format!(
        "folders are searched for {KNOWN}; a file named directly is read as text whatever its name"
    )))
}

/// Searches below `start`; `project` is for the hint.
fn glob(pattern: &str, start: &Path, project: Project<'_>, into: &mut SourceFiles) -> Result<(), Failure> {
    let compiled = Pattern::compile(pattern)?.below(start);
    let base = compiled.base();
    let before = into.files.len();
    if base.is_dir() {
        for path in list(base, Some(&compiled), &mut into.findings)? {
            let name = relative_name(base, &path);
            into.files.push(named(&path, name));
        }
    }
    if into.files.len() > before {
        return Ok(());
    }
    Err(with_findings(format!("glob {pattern} matches no file"), &into.findings).with_hint(format!(
        "`*` stays within one folder and `**` crosses folders; a relative glob starts at {}",
        project.start_of_paths()
    )))
}

fn list(folder: &Path, pattern: Option<&Pattern>, findings: &mut Findings) -> Result<Vec<PathBuf>, Failure> {
    Walk::files(folder, pattern, findings).map_err(|error| match error {
        WalkError::Io(error) => unreadable(folder, &error),
        WalkError::TooMany(_) => Failure::fatal(format!("corpus folder {} {error}", shown(folder)))
            .with_hint("name the folders that have the text, or look for a link to a large folder"),
    })
}

/// Failure for a search without a result; lists the skipped entries.
fn with_findings(message: String, findings: &Findings) -> Failure {
    let lines = findings.lines();
    Failure::fatal(if lines.is_empty() { message } else { format!("{message}; {}", lines.join("; ")) })
}

fn named(path: &Path, name: String) -> SourceFile {
    let (format, compression) = formats::of(path);
    SourceFile { path: path.to_owned(), name, format: format.unwrap_or(Format::Text), compression, url: None }
}

pub fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn relative_name(base: &Path, path: &Path) -> String {
    let relative = path.strip_prefix(base).unwrap_or(path);
    let parts: Vec<_> = relative.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

/// Formats a path for a message, with invisible characters made visible.
fn shown(path: &Path) -> String {
    invisible::shown(&path.to_string_lossy())
}

/// Failure for a path that cannot be opened; retryable only for temporary errors.
pub fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let (shown, kind) = (shown(path), error.kind());
    match (kind, path.read_link()) {
        (io::ErrorKind::NotFound, Ok(target)) => {
            let target = invisible::shown(&target.to_string_lossy());
            Failure::fatal(format!("corpus source {shown} is a link to {target}, which does not exist"))
                .with_hint("remove the link, or name the file where it is now")
        }
        (io::ErrorKind::NotFound, Err(_)) => Failure::fatal(format!("corpus source {shown} does not exist"))
            .with_hint("it was there before: put it back, then use `stepwell retry`"),
        (io::ErrorKind::PermissionDenied, _) => {
            Failure::fatal(format!("corpus source {shown} cannot be read: permission denied"))
                .with_hint(format!("make it readable: chmod u+r {}", quote(path)))
        }
        (io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput, _) => {
            Failure::fatal(format!("corpus source {shown} cannot be a path: {error}"))
                .with_hint("name a file, a folder or a glob")
        }
        (_, Ok(_)) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            Failure::fatal(format!("corpus source {shown} is a link that leads back to itself"))
                .with_hint("remove the link, or name the file that it was meant for")
        }
        _ => Failure::retryable(format!("corpus source {shown} cannot be read: {error}")),
    }
}
