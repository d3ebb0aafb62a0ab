//! Paths below the home folder.

use std::path::{Path, PathBuf};

/// Expands `~/`, as a shell would do on a command line.
pub(super) fn expand(path: &str, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}
