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
    /// Like `Named`, for measured values.
    Figures(&'static [Figure]),
    /// The keys of this argument, which is a table.
    KeysOf(&'static str),
    /// The keys of `[outputs]` in the workflow that the step starts.
    OfChild,
    /// A program decides at run time.
    Any,
}

/// A measured value, and what a reader has to know about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Figure {
    pub name: &'static str,
    /// The name in text for people, where it is not `name` with spaces.
    pub label: Option<&'static str>,
    pub about: &'static str,
    /// `None` for a value that is neither good nor bad.
    pub better: Option<Better>,
    /// The value that this one is the baseline of: a model has learned little until it beats it.
    pub baseline_of: Option<&'static str>,
}

/// The direction in which a value improves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Better {
    Lower,
    Higher,
}

impl Figure {
    pub const fn new(name: &'static str, about: &'static str) -> Figure {
        Figure { name, label: None, about, better: None, baseline_of: None }
    }

    pub const fn better(self, better: Better) -> Figure {
        Figure { better: Some(better), ..self }
    }

    pub const fn baseline_of(self, value: &'static str) -> Figure {
        Figure { baseline_of: Some(value), ..self }
    }

    pub const fn label(self, label: &'static str) -> Figure {
        Figure { label: Some(label), ..self }
    }
}

impl Better {
    /// True if `one` is better than `other`.
    pub fn is_better(self, one: f64, other: f64) -> bool {
        match self {
            Better::Lower => one < other,
            Better::Higher => one > other,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Better::Lower => "lower",
            Better::Higher => "higher",
        }
    }
}

impl Given {
    pub const NOTHING: Given = Given::Named(&[]);

    /// Names and descriptions; `None` where they depend on the step.
    pub fn names(self) -> Option<Vec<(&'static str, &'static str)>> {
        match self {
            Given::Named(names) => Some(names.to_vec()),
            Given::Figures(figures) => Some(figures.iter().map(|figure| (figure.name, figure.about)).collect()),
            Given::KeysOf(_) | Given::OfChild | Given::Any => None,
        }
    }

    /// True if `name` is declared; false if it is known at run time only.
    pub fn declares(self, name: &str) -> bool {
        self.names().is_some_and(|names| names.iter().any(|(known, _)| *known == name))
    }

    /// The declaration of a measured value.
    pub fn figure(self, name: &str) -> Option<&'static Figure> {
        match self {
            Given::Figures(figures) => figures.iter().find(|figure| figure.name == name),
            _ => None,
        }
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
