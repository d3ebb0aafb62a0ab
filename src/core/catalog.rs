//! What validation must know about step kinds, without knowing the kinds.

use serde_json::Value;

/// Where attempts of a kind run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Placement {
    /// On a thread of the engine: for work of milliseconds.
    InProcess,
    /// In a child process with its own process group.
    Child,
}

/// One step kind, as seen by validation and documentation.
#[derive(Clone, Debug)]
pub struct KindInfo {
    pub kind: &'static str,
    pub summary: &'static str,
    pub placement: Placement,
    /// JSON schema of the `with` table.
    pub schema: Value,
}

/// The step kinds of this build.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    pub kinds: Vec<KindInfo>,
}

impl Catalog {
    pub fn get(&self, kind: &str) -> Option<&KindInfo> {
        self.kinds.iter().find(|info| info.kind == kind)
    }
}
