//! Files of a model on disk, and their digests.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_models::{Model, ModelError, ModelFiles};

/// A file that belongs to a model.
pub struct SourceFile {
    /// Name within the model.
    pub name: String,
    pub path: PathBuf,
    pub bytes: u64,
}

/// Finds the files that belong to a model; a folder may have others beside them.
///
/// # Errors
/// When the path is missing or holds no model.
pub fn files(source: &Path) -> Result<Vec<SourceFile>, Failure> {
    let files = ModelFiles::at(source).and_then(|files| Model::own_files(&files)).map_err(refused)?;
    let file = |(name, path): (&str, &Path)| {
        let bytes = path.metadata().map_err(|error| unreadable(path, &error))?.len();
        Ok(SourceFile { name: name.to_owned(), path: path.to_owned(), bytes })
    };
    files.iter().map(file).collect()
}

/// Name and digest of every file, in order.
///
/// # Errors
/// When a file cannot be read.
pub fn fingerprint(files: &[SourceFile]) -> Result<Value, Failure> {
    files.iter().map(|file| Ok(json!([file.name, digest(&file.path)?]))).collect()
}

fn digest(path: &Path) -> Result<String, Failure> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut file = File::open(path).map_err(|error| unreadable(path, &error))?;
    loop {
        match file.read(&mut buffer).map_err(|error| unreadable(path, &error))? {
            0 => return Ok(hasher.finalize().to_hex().to_string()),
            read => hasher.update(&buffer[..read]),
        };
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::fatal(format!("cannot read {}: {error}", path.display())).with_hint("check that you may read the file")
}

/// The refusal of a model.
pub fn refused(error: ModelError) -> Failure {
    let hint = error.hint();
    Failure::from_error(FailureKind::Fatal, &error).with_hint(hint)
}
