//! Of which steps templates read the outputs, known before any of them is evaluated.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::lexer;
use super::references::{Scan, Segment};
use super::syntax::{Form, expression_text, form};
use crate::core::ids::StepId;
use crate::core::spec::StepSpec;

/// Steps whose outputs are read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Named {
    These(BTreeSet<StepId>),
    /// A name is computed: it can be any.
    Any,
}

impl Named {
    /// By the templates of a step.
    pub fn by_step(spec: &StepSpec) -> Named {
        let mut named = Named::by_table(&spec.with);
        for expression in spec.when.iter().chain(&spec.for_each) {
            named.add(&Scan::of(&lexer::expression(expression_text(expression).0)));
        }
        named
    }

    /// By the templates of a table of values.
    pub fn by_table(table: &Map<String, Value>) -> Named {
        let mut named = Named::These(BTreeSet::new());
        table.values().for_each(|value| named.add_value(value));
        named
    }

    pub fn includes(&self, step: &StepId) -> bool {
        match self {
            Named::These(steps) => steps.contains(step),
            Named::Any => true,
        }
    }

    fn add_value(&mut self, value: &Value) {
        match value {
            Value::String(text) => match form(text) {
                Form::Literal => {}
                Form::Expression { source, .. } => self.add(&Scan::of(&lexer::expression(source))),
                Form::Mixed => self.add(&Scan::of(&lexer::template(text))),
            },
            Value::Array(items) => items.iter().for_each(|item| self.add_value(item)),
            Value::Object(entries) => entries.values().for_each(|entry| self.add_value(entry)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn add(&mut self, scan: &Scan) {
        for reference in scan.references.iter().filter(|reference| reference.root == "steps") {
            match (reference.path.first(), &mut *self) {
                (Some(Segment::Name(name)), Named::These(steps)) => drop(steps.insert(StepId::from(name.as_str()))),
                (Some(Segment::Name(_)), Named::Any) => {}
                _ => *self = Named::Any,
            }
        }
    }
}
