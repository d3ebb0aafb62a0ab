//! `stepwell metrics --tensorboard DIR`: event files of series that no engine keeps up to date.

use std::path::Path;

use serde_json::json;

use super::chosen::Chosen;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::tensorboard::{Mirror, Place};
use crate::view::output::SCHEMA;
use stepwell_store::EngineLock;

/// Writes the folders of all chosen series, and prints where they are.
pub(super) fn write(session: &Session, chosen: &[Chosen], folder: &Path) -> Result<Exit, CliError> {
    let place = Place::at(folder);
    // An engine writes there, and two writers would damage the files.
    let own = Place::of_state(session.state_dir());
    let is_own =
        std::fs::canonicalize(folder).ok().is_some_and(|path| std::fs::canonicalize(own.root()).ok() == Some(path));
    let lock = match is_own {
        true => Some(EngineLock::acquire(session.state_dir())?),
        false => None,
    };
    let mut mirror = Mirror::open(session.state_dir(), place)?;
    let mut folders = Vec::new();
    for one in chosen {
        folders.push(mirror.write(&(one.run, one.step.clone()))?);
    }
    drop(lock);
    if session.out.is_json() {
        let folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
        session
            .out
            .json_line(&json!({ "schema": SCHEMA, "tensorboard": folder.display().to_string(), "folders": folders }))?;
        return Ok(Exit::Ok);
    }
    for folder in folders {
        session.out.line(&folder.display().to_string())?;
    }
    Ok(Exit::Ok)
}
