//! Where a run comes from, in words.

use crate::view::output::short_id;
use stepwell_base::ids::RunId;
use stepwell_run::run_options::Origin;
use stepwell_store::{Reader, RunRow};

/// Text such as `forked from base (01a2b3c4-d5e6) at train:250`; `None` for a run that somebody submitted.
pub fn origin(reader: &Reader, run: &RunRow) -> Option<String> {
    let name = |id: RunId| reader.run(id).map_or_else(|_| id.to_string(), |row| named(&row.name, id));
    Some(match run.options.origin.as_ref()? {
        Origin::Rerun { run, from_step } => format!("rerun of {} from step {from_step}", name(*run)),
        Origin::Fork { run, at, train_step: Some(train_step) } => {
            format!("forked from {} at {at}:{train_step}", name(*run))
        }
        Origin::Fork { run, at, train_step: None } => format!("forked from {} at {at}", name(*run)),
        Origin::Child { run, step } => format!("started by step {step} of {}", name(*run)),
        Origin::Schedule { name, due } => format!("schedule {name}, due {}", due.strftime("%Y-%m-%d %H:%M:%SZ")),
    })
}

/// A run by its name, and by the start of its id because several runs may have the name.
pub fn named(name: &str, id: RunId) -> String {
    format!("{name} ({})", short_id(id))
}
