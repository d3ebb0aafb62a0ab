//! Evaluates the templates of one step.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use minijinja::value::Serde;
use minijinja::{ErrorKind, Value as Dynamic};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::context::TemplateContext;
use super::error::{Reason, TemplateError};
use super::files::{Files, GLOB};
use super::json::{self, NotJson};
use super::lexer;
use super::references::{Reference, Scan, Segment};
use super::syntax::{Form, environment, expression_text, form};
use crate::document::describe;
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::ids::RunId;

/// Maximum number of items of a fan-out.
pub const MAXIMUM_ITEMS: usize = 100_000;

/// Maximum bytes of text from a template that has text around its expressions.
const MAXIMUM_TEXT: usize = 16 << 20;

/// Returns the arguments of a step with every template replaced by its value. A string that is exactly one
/// `{{ expression }}` becomes the expression's native value, any other template becomes text.
///
/// # Errors
/// When a template is broken, names something unknown, or gives something that is not JSON.
pub fn resolve(with: &Map<String, Value>, context: &TemplateContext<'_>) -> Result<Value, TemplateError> {
    let mut resolved = Map::new();
    for (name, value) in with {
        resolved.insert(name.clone(), resolve_value(value, &format!("argument {name}"), context)?);
    }
    Ok(Value::Object(resolved))
}

/// Evaluates the results that a workflow gives to the step that started it; artifacts are recognised by their form.
///
/// # Errors
/// Like [`resolve`].
pub fn outputs(table: &Map<String, Value>, context: &TemplateContext<'_>) -> Result<Outputs, TemplateError> {
    let mut outputs = Outputs::default();
    for (name, value) in table {
        let value = resolve_value(value, &format!("output {name}"), context)?;
        match serde_json::from_value::<ArtifactRef>(value.clone()) {
            Ok(artifact) => drop(outputs.artifacts.insert(name.clone(), artifact)),
            Err(_) => drop(outputs.values.insert(name.clone(), value)),
        }
    }
    Ok(outputs)
}

/// Evaluates the rule of a gate over its inputs.
///
/// # Errors
/// When the rule fails, names something that is not in `inputs` or has no value, or gives anything but true or false.
pub fn rule(rule: &str, inputs: &Map<String, Value>) -> Result<bool, TemplateError> {
    let error = |reason| TemplateError::new("rule", rule, reason);
    let references = Scan::of(&lexer::expression(rule)).references;
    for Reference { root, .. } in &references {
        match inputs.get(root) {
            // Null would compare as smaller than every number: a diverged loss would pass.
            Some(Value::Null) => return Err(error(Reason::NullInput(root.clone()))),
            Some(_) => {}
            None => return Err(error(Reason::UnknownName(root.clone()))),
        }
    }
    let evaluate = || {
        let value = environment().compile_expression(rule)?.eval(Serde(inputs))?;
        json::from_dynamic(&value)
            .map_err(|not_json| reason(not_json, || Reason::Evaluation("undefined value".to_owned())))
    };
    match evaluate().map_err(error)? {
        Value::Bool(value) => Ok(value),
        other => Err(error(Reason::NotACondition(describe(&other)))),
    }
}

/// Evaluates `for_each`.
///
/// # Errors
/// When the expression fails, does not give a list, or gives more than [`MAXIMUM_ITEMS`] items.
pub fn items(expression: &str, context: &TemplateContext<'_>) -> Result<Vec<Value>, TemplateError> {
    let (source, _) = expression_text(expression);
    let error = |reason| TemplateError::new("for_each", expression, reason);
    match evaluate(source, context).map_err(error)? {
        Value::Array(items) if items.len() <= MAXIMUM_ITEMS => Ok(items),
        Value::Array(items) => Err(error(Reason::TooManyItems { count: items.len(), maximum: MAXIMUM_ITEMS })),
        other => Err(error(Reason::NotAList(describe(&other)))),
    }
}

/// Returns the reason why a `for_each` over files fails now, if it uses nothing but files and params.
pub fn items_now(expression: &str, params: &Map<String, Value>, files: Arc<dyn Files>) -> Option<Reason> {
    let scan = Scan::of(&lexer::expression(expression_text(expression).0));
    let scan = Scan { functions: Vec::new(), ..scan };
    let evaluate = |context: &TemplateContext<'_>| {
        items(expression, &TemplateContext { files: Some(files), ..context.clone() }).err()
    };
    over_params(&scan, params, evaluate)?.map(|error| error.reason)
}

/// True if the items of this `for_each` are files.
pub fn uses_glob(expression: &str) -> bool {
    let scan = Scan::of(&lexer::expression(expression_text(expression).0));
    scan.functions.iter().any(|(name, _)| name == GLOB)
}

/// Evaluates `when`.
///
/// # Errors
/// When the expression fails, or gives anything but true or false.
pub fn condition(expression: &str, context: &TemplateContext<'_>) -> Result<bool, TemplateError> {
    let (source, _) = expression_text(expression);
    let error = |reason| TemplateError::new("when", expression, reason);
    match evaluate(source, context).map_err(error)? {
        Value::Bool(value) => Ok(value),
        other => Err(error(Reason::NotACondition(describe(&other)))),
    }
}

/// Returns the value of a text whose templates use only params, which are known before the run; `None` for others.
pub(crate) fn constant(text: &str, params: &Map<String, Value>) -> Option<Result<Value, Reason>> {
    let scan = match form(text) {
        Form::Literal => return None,
        Form::Expression { source, .. } => Scan::of(&lexer::expression(source)),
        Form::Mixed => Scan::of(&lexer::template(text)),
    };
    over_params(&scan, params, |context| resolve_text(text, context))
}

/// Returns the arguments of a step with every template replaced that uses only params and has a value.
pub fn with_params(with: &Map<String, Value>, params: &Map<String, Value>) -> Map<String, Value> {
    fn fill(value: &Value, params: &Map<String, Value>) -> Value {
        match value {
            Value::String(text) => constant(text, params).and_then(Result::ok).unwrap_or_else(|| value.clone()),
            Value::Array(items) => items.iter().map(|item| fill(item, params)).collect(),
            Value::Object(entries) => {
                Value::Object(entries.iter().map(|(name, entry)| (name.clone(), fill(entry, params))).collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }
    with.iter().map(|(name, value)| (name.clone(), fill(value, params))).collect()
}

/// Returns the reason why a `for_each` that uses only params fails in every run; `None` for others.
pub(crate) fn items_of(expression: &str, params: &Map<String, Value>) -> Option<Reason> {
    known(expression, params, |context| items(expression, context).map(drop))
}

/// Like [`items_of`], for a `when`.
pub(crate) fn condition_of(expression: &str, params: &Map<String, Value>) -> Option<Reason> {
    known(expression, params, |context| condition(expression, context).map(drop))
}

fn known(
    expression: &str,
    params: &Map<String, Value>,
    evaluate: impl FnOnce(&TemplateContext<'_>) -> Result<(), TemplateError>,
) -> Option<Reason> {
    let scan = Scan::of(&lexer::expression(expression_text(expression).0));
    over_params(&scan, params, evaluate)?.err().map(|error| error.reason)
}

/// Evaluates an expression that uses only params; `None` for others.
fn over_params<T>(
    scan: &Scan,
    params: &Map<String, Value>,
    evaluate: impl FnOnce(&TemplateContext<'_>) -> T,
) -> Option<T> {
    let known = |reference: &Reference| reference.root == "params" || scan.locals.contains(&reference.root);
    let (steps, run, scheduled_at) = (BTreeMap::new(), (RunId(Uuid::nil()), ""), Timestamp::UNIX_EPOCH);
    let secrets = BTreeMap::new();
    let context =
        TemplateContext { params, secrets: &secrets, steps: &steps, run, scheduled_at, item: None, files: None };
    // Which files exist is known only in a run.
    let reads_files = scan.functions.iter().any(|(name, _)| name == GLOB);
    (!reads_files && scan.references.iter().all(known)).then(|| evaluate(&context))
}

fn resolve_value(value: &Value, path: &str, context: &TemplateContext<'_>) -> Result<Value, TemplateError> {
    match value {
        Value::String(text) => resolve_text(text, context).map_err(|reason| TemplateError::new(path, text, reason)),
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.map(|(index, item)| resolve_value(item, &format!("{path}[{index}]"), context)).collect()
        }
        Value::Object(entries) => {
            let mut resolved = Map::new();
            for (name, entry) in entries {
                resolved.insert(name.clone(), resolve_value(entry, &format!("{path}.{name}"), context)?);
            }
            Ok(Value::Object(resolved))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.clone()),
    }
}

fn resolve_text(text: &str, context: &TemplateContext<'_>) -> Result<Value, Reason> {
    match form(text) {
        Form::Literal => Ok(Value::String(text.to_owned())),
        Form::Expression { source, .. } => evaluate(source, context),
        Form::Mixed => {
            let template = environment().template_from_str(text)?;
            let references = Scan::of(&lexer::template(text)).references;
            let values = context.values_for(&references);
            let mut output = Bounded::default();
            match template.render_captured_to(values.clone(), &mut output) {
                Ok(_) => Ok(Value::String(String::from_utf8_lossy(&output.bytes).into_owned())),
                Err(_) if output.full => Err(Reason::TooMuchText { maximum: MAXIMUM_TEXT }),
                Err(error) => Err(blame(error, &references, &values, context)),
            }
        }
    }
}

fn evaluate(source: &str, context: &TemplateContext<'_>) -> Result<Value, Reason> {
    let expression = environment().compile_expression(source)?;
    let references = Scan::of(&lexer::expression(source)).references;
    let values = context.values_for(&references);
    let value = match expression.eval(values.clone()) {
        Ok(value) => value,
        Err(error) => return Err(blame(error, &references, &values, context)),
    };
    let undefined = || blame(ErrorKind::UndefinedError.into(), &references, &values, context);
    json::from_dynamic(&value).map_err(|not_json| reason(not_json, undefined))
}

fn reason(not_json: NotJson, undefined: impl FnOnce() -> Reason) -> Reason {
    match not_json {
        NotJson::Undefined => undefined(),
        NotJson::TooMuchText => Reason::TooMuchText { maximum: json::MAXIMUM_TEXT },
        NotJson::TooManyValues => Reason::TooManyValues { maximum: json::MAXIMUM_VALUES },
        NotJson::Other(message) => Reason::NotJson(message),
    }
}

/// Names the reference behind an error about an undefined value.
fn blame(error: minijinja::Error, references: &[Reference], values: &Dynamic, context: &TemplateContext<'_>) -> Reason {
    if error.kind() != ErrorKind::UndefinedError {
        return Reason::from(error);
    }
    let Some(missing) = references.iter().find(|reference| !exists(reference, values)) else {
        return Reason::from(error);
    };
    match context.skipped_step(missing) {
        Some(step) => Reason::SkippedStep { step: step.to_string(), name: missing.to_string() },
        None => Reason::UnknownName(missing.to_string()),
    }
}

fn exists(reference: &Reference, values: &Dynamic) -> bool {
    let mut value = values.get_attr(&reference.root).unwrap_or_default();
    for segment in &reference.path {
        value = match segment {
            Segment::Name(name) => value.get_attr(name).unwrap_or_default(),
            Segment::Index(index) => value.get_item(&Dynamic::from(*index)).unwrap_or_default(),
        };
    }
    !value.is_undefined()
}

/// Accepts text up to [`MAXIMUM_TEXT`].
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    full: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > MAXIMUM_TEXT {
            self.full = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
