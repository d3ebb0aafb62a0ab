//! The names that templates can use: `params`, `secrets`, `steps`, `run`, and `item` and `index` of a fan-out.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use jiff::Timestamp;
use minijinja::Value as Dynamic;
use minijinja::value::{Object, ObjectRepr, Serde};
use serde_json::{Map, Value};

use super::best::CHILDREN;
use super::files::{FILES, Files, FilesObject};
use super::references::{Reference, Segment};
use stepwell_base::artifact::Outputs;
use stepwell_base::ids::{RunId, StepId};

/// Everything that one step, or one child of a fan-out, can see.
#[derive(Clone)]
pub struct TemplateContext<'a> {
    pub params: &'a Map<String, Value>,
    /// The stand-in for each secret, by name.
    pub secrets: &'a BTreeMap<String, String>,
    /// Includes the finished steps that this step needs.
    pub steps: &'a BTreeMap<StepId, StepOutputs<'a>>,
    pub run: (RunId, &'a str),
    /// The time that the run is for.
    pub scheduled_at: Timestamp,
    /// The item of a fan-out and its index.
    pub item: Option<(&'a Value, usize)>,
    /// Lists files for `glob`; `None` where it may not be used.
    pub files: Option<Arc<dyn Files>>,
}

#[derive(Clone, Debug)]
pub enum StepOutputs<'a> {
    One(&'a Outputs),
    /// The children of a fan-out: each name gives a list.
    Many(Rc<dyn FanOut + 'a>),
    Skipped,
}

/// The children of a fan-out in item order. Their outputs are collected only when a template names them: every child
/// of another fan-out may need these.
pub trait FanOut: fmt::Debug {
    fn children(&self) -> Vec<Child<'_>>;
}

/// A succeeded child of a fan-out.
#[derive(Clone, Copy, Debug)]
pub struct Child<'a> {
    pub index: usize,
    pub item: &'a Value,
    pub outputs: &'a Outputs,
}

impl FanOut for &BTreeMap<usize, (Value, Outputs)> {
    fn children(&self) -> Vec<Child<'_>> {
        self.iter().map(|(index, (item, outputs))| Child { index: *index, item, outputs }).collect()
    }
}

impl TemplateContext<'_> {
    /// Returns the values behind `references`. Converts nothing else, because a step may have 100,000 children.
    pub(super) fn values_for(&self, references: &[Reference]) -> Dynamic {
        let mut root: BTreeMap<&str, Dynamic> = BTreeMap::new();
        let mut steps: BTreeMap<&str, Dynamic> = BTreeMap::new();
        for reference in references {
            match (reference.root.as_str(), self.item) {
                ("params", _) => {
                    root.entry("params").or_insert_with(|| Dynamic::from(Serde(self.params)));
                }
                ("secrets", _) => {
                    root.entry("secrets").or_insert_with(|| Dynamic::from(Serde(self.secrets)));
                }
                ("run", _) => {
                    let (id, name) = self.run;
                    let run = BTreeMap::from([
                        ("id", id.to_string()),
                        ("name", name.to_owned()),
                        ("scheduled_at", self.scheduled_at.to_string()),
                    ]);
                    root.entry("run").or_insert_with(|| Dynamic::from(run));
                }
                ("item", Some((item, _))) => {
                    root.entry("item").or_insert_with(|| Dynamic::from(Serde(item)));
                }
                ("index", Some((_, index))) => {
                    root.entry("index").or_insert_with(|| Dynamic::from(index));
                }
                ("steps", _) => self.add_steps(reference, references, &mut steps),
                _ => {}
            }
        }
        root.insert("steps", Dynamic::from(steps));
        if let Some(files) = &self.files {
            root.insert(FILES, Dynamic::from_object(FilesObject(files.clone())));
        }
        Dynamic::from(root)
    }

    fn add_steps<'a>(&'a self, reference: &Reference, all: &[Reference], steps: &mut BTreeMap<&'a str, Dynamic>) {
        let named = match reference.path.first() {
            Some(Segment::Name(name)) => Some(name.as_str()),
            _ => None,
        };
        for (id, outputs) in self.steps.iter().filter(|(id, _)| named.is_none_or(|name| id.as_str() == name)) {
            let names_children = || all.iter().any(|reference| names_children(reference, id));
            steps.entry(id.as_str()).or_insert_with(|| outputs.to_dynamic(names_children()));
        }
    }

    /// Returns the step that a reference starts with, if it was skipped.
    pub(super) fn skipped_step(&self, reference: &Reference) -> Option<&StepId> {
        let ("steps", Some(Segment::Name(name))) = (reference.root.as_str(), reference.path.first()) else {
            return None;
        };
        let (id, outputs) = self.steps.get_key_value(&StepId::from(name.as_str()))?;
        matches!(outputs, StepOutputs::Skipped).then_some(id)
    }
}

/// True if a reference may lead to the children of a fan-out one by one.
fn names_children(reference: &Reference, id: &StepId) -> bool {
    let is_step = reference.root == "steps";
    match reference.path.as_slice() {
        [Segment::Name(name), Segment::Name(group), ..] => is_step && name == id.as_str() && group == CHILDREN,
        [Segment::Name(name)] => is_step && name == id.as_str(),
        _ => false,
    }
}

impl StepOutputs<'_> {
    fn to_dynamic(&self, names_children: bool) -> Dynamic {
        let mut one_by_one = None;
        let (outputs, values) = match self {
            StepOutputs::One(outputs) => {
                (Dynamic::from(Serde(&outputs.artifacts)), Dynamic::from(Serde(&outputs.values)))
            }
            StepOutputs::Many(fan_out) => {
                let children = fan_out.children();
                if names_children {
                    one_by_one = Some(children.iter().copied().map(Child::to_dynamic).collect::<Vec<_>>());
                }
                match children.iter().map(|child| child.outputs).collect::<Vec<_>>().as_slice() {
                    [] => (Dynamic::from_object(NoChildren), Dynamic::from_object(NoChildren)),
                    children => (
                        lists(children, |child| {
                            child.artifacts.iter().map(|(name, artifact)| (name.as_str(), artifact))
                        }),
                        lists(children, |child| child.values.iter().map(|(name, value)| (name.as_str(), value))),
                    ),
                }
            }
            StepOutputs::Skipped => {
                (Dynamic::from(BTreeMap::<String, Dynamic>::new()), Dynamic::from(BTreeMap::<String, Dynamic>::new()))
            }
        };
        let mut groups = BTreeMap::from([("outputs", outputs), ("values", values)]);
        if let Some(children) = one_by_one {
            groups.insert(CHILDREN, Dynamic::from(children));
        }
        Dynamic::from(groups)
    }
}

impl Child<'_> {
    fn to_dynamic(self) -> Dynamic {
        let Child { index, item, outputs } = self;
        Dynamic::from(BTreeMap::from([
            ("index", Dynamic::from(index)),
            ("item", Dynamic::from(Serde(item))),
            ("outputs", Dynamic::from(Serde(&outputs.artifacts))),
            ("values", Dynamic::from(Serde(&outputs.values))),
        ]))
    }
}

/// Builds one list, in item order, per name that every child has.
fn lists<'a, T, I>(children: &[&'a Outputs], entries: impl Fn(&'a Outputs) -> I) -> Dynamic
where
    T: serde::Serialize + 'a,
    I: Iterator<Item = (&'a str, &'a T)>,
{
    let mut lists: BTreeMap<&str, Vec<Dynamic>> = BTreeMap::new();
    for child in children {
        for (name, value) in entries(child) {
            lists.entry(name).or_default().push(Dynamic::from(Serde(value)));
        }
    }
    lists.retain(|_, list| list.len() == children.len());
    Dynamic::from(lists)
}

/// A fan-out over no items: every name is an empty list.
#[derive(Debug)]
struct NoChildren;

impl Object for NoChildren {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, _key: &Dynamic) -> Option<Dynamic> {
        Some(Dynamic::from(Vec::<Dynamic>::new()))
    }
}
