//! Facts about step kinds for validation, which does not know the kinds themselves.

use serde_json::Value;

use super::limits::Limits;
use stepwell_base::failure::Failure;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Placement {
    /// On a thread of the engine, for work of milliseconds.
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
    pub gives: Gives,
}

/// Outputs and values that a succeeded step gives to other steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gives {
    pub outputs: Given,
    pub values: Given,
}

/// The names of a step's outputs, or of its values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Given {
    /// Exactly these names, each with a one-line description; a run may lack some.
    Named(&'static [(&'static str, &'static str)]),
    /// The keys of this argument, which is a table.
    KeysOf(&'static str),
    /// The keys of `[outputs]` in the workflow that the step starts.
    OfChild,
    /// A program decides at run time.
    Any,
}

impl Given {
    pub const NOTHING: Given = Given::Named(&[]);

    /// True if `name` is declared; false if it is known at run time only.
    pub fn declares(self, name: &str) -> bool {
        matches!(self, Given::Named(names) if names.iter().any(|(known, _)| *known == name))
    }
}

/// Rejects arguments of a kind that cannot work.
pub type Check = fn(kind: &str, with: &Value) -> Result<(), Failure>;

/// The step kinds of this build, and the machine that runs them.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    pub kinds: Vec<KindInfo>,
    /// Checks the arguments of a kind once all of them are known.
    pub check: Option<Check>,
    /// `None` where the settings of the machine are unknown; demands are then not checked.
    pub limits: Option<Limits>,
}

impl Catalog {
    pub fn get(&self, kind: &str) -> Option<&KindInfo> {
        self.kinds.iter().find(|info| info.kind == kind)
    }
}
