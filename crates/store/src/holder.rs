//! Names the process that holds the engine lock.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use stepwell_base::ids::RunId;

/// The holder of the engine lock. Everyone who can read the state directory sees it, so it never includes a command
/// line, which may hold secrets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    pub host: String,
    pub started_at: Timestamp,
    /// The schema that the holder's build writes; 0 for a build that does not record it.
    #[serde(default)]
    pub schema: u32,
    /// The only run that it drives, with its child runs. `None` for an engine that serves all runs, for one that has
    /// just started, for other holders such as `gc`, and for a build that does not record it.
    #[serde(default)]
    pub run: Option<RunId>,
    /// Attempts that it runs at a time; `None` until it is an engine.
    #[serde(default)]
    pub slots: Option<usize>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            // The holder has not written its record yet, or its build uses a different format.
            0 => f.write_str("another process"),
            pid => write!(f, "engine process {pid} on {} since {}", self.host, self.started_at),
        }
    }
}
