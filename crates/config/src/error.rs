//! Errors in the settings.

use std::io;
use std::path::PathBuf;

use super::settings::InvalidValue;
use stepwell_workflow::diagnostic::SpecErrors;

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Holds a miette diagnostic with all problems of the file.
    #[error(transparent)]
    File(#[from] SpecErrors),
    #[error("cannot read the configuration file `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("environment variable `{name}` {source}")]
    Environment { name: &'static str, source: InvalidValue },
    #[error("flag `--{name}` {source}")]
    Flag { name: &'static str, source: InvalidValue },
    #[error("cannot tell the working directory")]
    WorkingDirectory { source: io::Error },
}

impl ConfigError {
    pub fn hint(&self) -> Option<String> {
        match self {
            ConfigError::File(_) | ConfigError::Flag { .. } => None,
            ConfigError::Read { .. } => Some("make it a readable text file, or remove it".to_owned()),
            ConfigError::Environment { name, .. } => Some(format!("correct it, or `unset {name}`")),
            ConfigError::WorkingDirectory { .. } => Some("change to a directory that exists".to_owned()),
        }
    }
}
