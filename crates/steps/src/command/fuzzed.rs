//! Lets `stepwell_fuzzing` read the files of a program exactly as an attempt reads them.

use std::path::Path;

use serde_json::{Map, Value};

use crate::Reporter;
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::Failure;

use super::reports::{MetricsFile, ProgressFile};
use super::{checkpoint, outputs};

/// Reads `$STEPWELL_VALUES`.
pub fn values(path: &Path) -> Result<Map<String, Value>, Failure> {
    outputs::read_values(path)
}

/// Reads `next.ready` and the checkpoint that it announces.
pub fn checkpoint(path: &Path) -> Result<Checkpoint, Failure> {
    Ok(checkpoint::read_marker(path)?.checkpoint(None))
}

/// Reads `$STEPWELL_PROGRESS`.
pub fn progress(path: &Path, reporter: &mut dyn Reporter) {
    ProgressFile::new(path.to_owned()).report(reporter);
}

/// Reads `$STEPWELL_METRICS` to its end.
pub fn metrics(path: &Path, reporter: &mut dyn Reporter) -> Result<(), Failure> {
    MetricsFile::new(path.to_owned()).finish(reporter)
}
