//! Publishes the results of a program.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use stepwell_artifact::{ArtifactStore, Listing, OutsideFile, open_regular};
use stepwell_base::artifact::{ArtifactRef, EXECUTABLE_MEDIA_TYPE, Outputs};
use stepwell_base::failure::Failure;
use stepwell_base::json::{self, JsonError, Limit};
use stepwell_base::names::is_below;

use super::numbers::too_large_integer;

const FILE_MEDIA_TYPE: &str = "application/octet-stream";

/// Collects the declared outputs, searched in `places` in order, and the values that the program wrote.
///
/// # Errors
/// A fatal failure that names a missing or unusable output, or says why the values are unusable.
pub(super) fn collect(
    artifacts: &ArtifactStore,
    declared: &BTreeMap<String, PathBuf>,
    places: [&Path; 2],
    values: &Path,
) -> Result<Outputs, Failure> {
    let mut outputs = Outputs { artifacts: BTreeMap::new(), values: read_values(values)? };
    for (name, path) in declared {
        if !is_below(path) {
            let message = format!("the output `{name}` cannot be at `{}`", path.display());
            return Err(Failure::fatal(message).with_hint(
                "its path is relative to $STEPWELL_OUTPUT_DIR or the working directory, without `..`; copy the file there",
            ));
        }
        // A dangling link is found too, and then refused by name.
        let found = places.iter().map(|place| place.join(path)).find(|candidate| candidate.symlink_metadata().is_ok());
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
        let refused = |failure: Failure| {
            let message = format!("the output `{name}` cannot be kept: {}", failure.message);
            Failure { message, ..failure }
        };
        let listing = Listing::of(&found).map_err(|error| refused((&error).into()))?;
        outputs.artifacts.insert(name.clone(), publish(artifacts, &listing).map_err(refused)?);
    }
    Ok(outputs)
}

/// Publishes a file unchanged, and a folder as a tree of its files and empty folders. Follows links and stores
/// their content. From a file's mode, keeps only the owner's right to execute.
pub(super) fn publish(artifacts: &ArtifactStore, listing: &Listing) -> Result<ArtifactRef, Failure> {
    artifacts.check_space(listing.files.iter().map(|file| file.size).sum())?;
    let put = |file: &OutsideFile| {
        let media_type = if file.is_executable { EXECUTABLE_MEDIA_TYPE } else { FILE_MEDIA_TYPE };
        artifacts.put_file(&file.path, media_type)
    };
    if let (false, [file]) = (listing.is_folder, listing.files.as_slice()) {
        return Ok(put(file)?);
    }
    let mut entries = BTreeMap::new();
    for file in &listing.files {
        entries.insert(file.name.clone(), put(file)?);
    }
    if !listing.empty_folders.is_empty() {
        let empty = artifacts.put_tree(&BTreeMap::new())?;
        entries.extend(listing.empty_folders.iter().map(|name| (name.clone(), empty.clone())));
    }
    Ok(artifacts.put_tree(&entries)?)
}

/// Reads the JSON object in `$STEPWELL_VALUES`; empty if the program wrote nothing.
pub(super) fn read_values(path: &Path) -> Result<Map<String, Value>, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| Failure::fatal(format!("cannot read $STEPWELL_VALUES: {error}"));
    let mut text = Vec::new();
    match open_regular(path) {
        Ok(file) => file.take(Limit::VALUES.bytes + 1).read_to_end(&mut text).map_err(|error| unreadable(&error))?,
        Err(error) if error.is_missing() => return Ok(Map::new()),
        Err(error) => return Err(unreadable(&error).with_hint(error.hint())),
    };
    let values = json::parse(&text, Limit::VALUES).map_err(|error| match error {
        JsonError::Syntax(error) => Failure::fatal(format!("$STEPWELL_VALUES holds no JSON object: {error}"))
            .with_hint("write one object, such as {\"rows\": 3}"),
        limit => Failure::fatal(format!("$STEPWELL_VALUES cannot be read: {limit}"))
            .with_hint("write what is large or deep into a file, and declare that as an output"),
    })?;
    match str::from_utf8(&text).ok().and_then(too_large_integer) {
        None => Ok(values),
        Some(number) => {
            Err(Failure::fatal(format!("$STEPWELL_VALUES has the integer {number}, which does not fit in 64 bits"))
                .with_hint("write it as text, or as a fraction if it may be rounded"))
        }
    }
}
