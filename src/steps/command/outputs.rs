//! Publishes what a program has produced.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use walkdir::{DirEntry, WalkDir};

use crate::artifact::ArtifactStore;
use crate::core::artifact::{ArtifactRef, Outputs};
use crate::core::failure::{Failure, FailureKind};

const FILE_MEDIA_TYPE: &str = "application/octet-stream";

/// Collects the declared outputs, looked for in `places` in order, and the values that the program wrote.
///
/// # Errors
/// A fatal failure that names the output that is missing, or says why the values cannot be used.
pub(super) fn collect(
    artifacts: &ArtifactStore,
    declared: &BTreeMap<String, PathBuf>,
    places: [&Path; 2],
    values: &Path,
) -> Result<Outputs, Failure> {
    let mut outputs = Outputs { artifacts: BTreeMap::new(), values: read_values(values)? };
    for (name, path) in declared {
        let found = places.iter().map(|place| place.join(path)).find(|candidate| candidate.exists());
        let found = found.ok_or_else(|| {
            Failure::fatal(format!(
                "the command succeeded, but did not write its output `{name}` (`{}`)",
                path.display()
            ))
            .with_hint(format!(
                "write it below $STEPWELL_OUTPUT_DIR or the working directory `{}`",
                places[1].display()
            ))
        })?;
        outputs.artifacts.insert(name.clone(), publish(artifacts, &found)?);
    }
    Ok(outputs)
}

/// A file as it is; a folder as a tree of its files.
///
/// # Errors
/// When a file cannot be read or stored.
pub(super) fn publish(artifacts: &ArtifactStore, path: &Path) -> Result<ArtifactRef, Failure> {
    let files = files_below(path)?;
    artifacts.check_space(files.iter().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum())?;
    if !path.is_dir() {
        return Ok(artifacts.put_file(path, FILE_MEDIA_TYPE)?);
    }
    let mut entries = BTreeMap::new();
    for entry in files {
        let name = entry.path().strip_prefix(path).unwrap_or(entry.path());
        let name = name.to_str().ok_or_else(|| {
            Failure::fatal(format!("the name of `{}` is no UTF-8", entry.path().display())).with_hint("rename the file")
        })?;
        entries.insert(name.to_owned(), artifacts.put_file(entry.path(), FILE_MEDIA_TYPE)?);
    }
    Ok(artifacts.put_tree(&entries)?)
}

/// All files of a folder; of a file, itself.
fn files_below(path: &Path) -> Result<Vec<DirEntry>, Failure> {
    let mut files = Vec::new();
    for entry in WalkDir::new(path).sort_by_file_name() {
        let entry = entry.map_err(|error| Failure::from_error(FailureKind::Retryable, &error))?;
        if entry.file_type().is_file() {
            files.push(entry);
        }
    }
    Ok(files)
}

/// The JSON object in `$STEPWELL_VALUES`; none when the program wrote nothing.
fn read_values(path: &Path) -> Result<Map<String, Value>, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(error) => return Err(Failure::fatal(format!("cannot read $STEPWELL_VALUES: {error}"))),
    };
    serde_json::from_str(&text).map_err(|error| {
        Failure::fatal(format!("$STEPWELL_VALUES holds no JSON object: {error}"))
            .with_hint("write one object, such as {\"rows\": 3}")
    })
}
