//! Digests of the files that a command reads, as part of the step's key.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::artifact::{Listing, OutsideError, open_regular};
use crate::core::artifact::Digest;
use crate::core::failure::Failure;

/// `{"PATH": "DIGEST"}` for files; for a folder, an object of its files.
///
/// # Errors
/// A fatal failure that names the path which is missing or unreadable.
pub(super) fn digests(inputs: &[PathBuf]) -> Result<Value, Failure> {
    let mut all = Map::new();
    for path in inputs {
        let digest = digest(path).map_err(|error| unusable(path, &error))?;
        all.insert(path.display().to_string(), digest);
    }
    Ok(Value::Object(all))
}

fn unusable(path: &Path, error: &OutsideError) -> Failure {
    let failure = Failure::fatal(format!("the input `{}` cannot be used: {error}", path.display()));
    if !error.is_missing() {
        return failure.with_hint(error.hint());
    }
    let at = std::env::current_dir().unwrap_or_default();
    failure.with_hint(format!("`inputs` are relative to the directory of the engine, `{}`", at.display()))
}

fn digest(path: &Path) -> Result<Value, OutsideError> {
    let listing = Listing::of(path)?;
    let mut files = Map::new();
    for file in &listing.files {
        let digest = Value::from(file_digest(&file.path)?.as_str());
        if !listing.is_folder {
            return Ok(digest);
        }
        files.insert(file.name.clone(), digest);
    }
    Ok(Value::Object(files))
}

fn file_digest(path: &Path) -> Result<Digest, OutsideError> {
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut open_regular(path)?, &mut hasher).map_err(|error| OutsideError::io(path, error))?;
    Ok(hasher.finalize().into())
}
