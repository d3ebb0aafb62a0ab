//! Which files a `source` names: a file, a folder, a glob. The order is that of the sources, and by name within.

use std::io;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use walkdir::WalkDir;

use crate::core::failure::Failure;

/// How a file's content is structured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Text,
    JsonLines,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// One file to read. `name` is relative to the folder or to the glob's literal prefix, with `/` between parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceFile {
    pub path: PathBuf,
    pub name: String,
    pub format: Format,
    pub compression: Compression,
}

/// What a list of sources names.
#[derive(Debug, Default)]
pub struct SourceFiles {
    pub files: Vec<SourceFile>,
    /// Files in folders that were passed over for their extension.
    pub skipped: u64,
}

const KNOWN: &str = ".txt, .md and .jsonl, each also as .gz or .zst";

/// Adds the files of one source.
///
/// # Errors
/// When the path is missing or unreadable, or nothing in it can be imported.
pub fn resolve(source: &str, into: &mut SourceFiles) -> Result<(), Failure> {
    if source.trim().is_empty() {
        return Err(Failure::fatal("no corpus was given: `source` is empty")
            .with_hint("name a file, a folder or a glob; with the workflow `pretrain`: `-S corpus=PATH`"));
    }
    let path = Path::new(source);
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => folder(path, into),
        Ok(metadata) if metadata.is_file() => {
            into.files.push(named(path, file_name(path)));
            Ok(())
        }
        Ok(_) => Err(Failure::fatal(format!("corpus source {source} is neither a file nor a folder"))
            .with_hint("name a regular file, a folder or a glob")),
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_glob(source) => glob(source, into),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn folder(folder: &Path, into: &mut SourceFiles) -> Result<(), Failure> {
    let before = into.files.len();
    let mut skipped = 0;
    for path in files_below(folder)? {
        if known(&path) {
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
    let message = format!("corpus folder {} has no file to import ({skipped} with other extensions)", folder.display());
    Err(Failure::fatal(message).with_hint(format!(
        "folders are searched for {KNOWN}; a file named directly is read as text whatever its name"
    )))
}

fn glob(pattern: &str, into: &mut SourceFiles) -> Result<(), Failure> {
    let matcher = compile(pattern)?;
    let base = literal_prefix(pattern);
    let before = into.files.len();
    if base.is_dir() {
        for path in files_below(&base)? {
            if matcher.is_match(path.strip_prefix("./").unwrap_or(&path)) {
                let name = relative_name(&base, &path);
                into.files.push(named(&path, name));
            }
        }
    }
    if into.files.len() > before {
        return Ok(());
    }
    Err(Failure::fatal(format!("glob {pattern} matches no file")).with_hint(format!(
        "`*` stays within one folder and `**` crosses folders; the search began in {}",
        base.display()
    )))
}

fn compile(pattern: &str) -> Result<GlobMatcher, Failure> {
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
    let glob = GlobBuilder::new(pattern).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| {
        Failure::fatal(format!("invalid glob {pattern}: {error}"))
            .with_hint("globs know `*`, `?`, `**`, `[a-z]` and `{a,b}`; a backslash takes the next character literally")
    })
}

fn is_glob(source: &str) -> bool {
    source.contains(['*', '?', '[', '{'])
}

/// The folder that every match lies below.
fn literal_prefix(pattern: &str) -> PathBuf {
    let parts = Path::new(pattern).components();
    let literal: PathBuf = parts.take_while(|part| !is_glob(&part.as_os_str().to_string_lossy())).collect();
    if literal.as_os_str().is_empty() { PathBuf::from(".") } else { literal }
}

/// All regular files below `folder`, without hidden ones, in the order of their names.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter();
    let visible =
        |entry: &walkdir::DirEntry| entry.depth() == 0 || !entry.file_name().to_string_lossy().starts_with('.');
    let mut files = Vec::new();
    for entry in walk.filter_entry(visible) {
        let entry = entry.map_err(|error| {
            Failure::fatal(format!("cannot list corpus folder {}: {error}", folder.display()))
                .with_hint("make the folder readable, or name the readable files with a glob")
        })?;
        if entry.file_type().is_file() {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

/// File name without compression suffix, and the compression.
fn split_compression(path: &Path) -> (String, Compression) {
    let name = file_name(path).to_lowercase();
    if let Some(stem) = name.strip_suffix(".gz") {
        (stem.to_owned(), Compression::Gzip)
    } else if let Some(stem) = name.strip_suffix(".zst") {
        (stem.to_owned(), Compression::Zstd)
    } else {
        (name, Compression::None)
    }
}

fn known(path: &Path) -> bool {
    let (name, _) = split_compression(path);
    [".txt", ".md", ".jsonl"].iter().any(|extension| name.ends_with(extension))
}

fn named(path: &Path, name: String) -> SourceFile {
    let (stem, compression) = split_compression(path);
    let format = if stem.ends_with(".jsonl") { Format::JsonLines } else { Format::Text };
    SourceFile { path: path.to_owned(), name, format, compression }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn relative_name(base: &Path, path: &Path) -> String {
    let relative = path.strip_prefix(base).unwrap_or(path);
    let parts: Vec<_> = relative.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

/// The failure for a path that cannot be opened.
pub fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => Failure::fatal(format!("corpus source {shown} does not exist"))
            .with_hint("check the path; relative paths start at the folder in which stepwell was started"),
        io::ErrorKind::PermissionDenied => {
            Failure::fatal(format!("corpus source {shown} cannot be read: permission denied"))
                .with_hint(format!("make it readable: chmod u+r {shown}"))
        }
        _ => Failure::retryable(format!("corpus source {shown} cannot be read: {error}")),
    }
}
