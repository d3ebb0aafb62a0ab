//! The name or id of a run in a suggested command.

use std::path::Path;

use stepwell_base::ids::RunId;
use stepwell_store::{Reader, RunRow};

/// The run's name for a command line, or its id if that name means another run.
pub fn handle(reader: &Reader, run: &RunRow) -> String {
    match reader.resolve_run(&run.name) {
        Ok(found) if found == run.id => run.name.clone(),
        _ => run.id.to_string(),
    }
}

/// Like [`handle`], for a run whose row is not loaded.
pub fn handle_of(state_dir: &Path, id: RunId) -> String {
    let found = Reader::open(state_dir).and_then(|reader| Ok(handle(&reader, &reader.run(id)?)));
    found.unwrap_or_else(|_| id.to_string())
}
