//! Checks workflow files and `-S` overrides.

use std::sync::LazyLock;

use serde_json::Value;

use super::probe::survives;
use stepwell_workflow::catalog::Catalog;
use stepwell_workflow::diagnostic::{Color, SpecErrors};
use stepwell_workflow::key::{json_digest, spec_digest};
use stepwell_workflow::parse::{self, NoLibrary};
use stepwell_workflow::spec::WorkflowSpec;

static CATALOG: LazyLock<Catalog> = LazyLock::new(stepwell_steps::catalog);

/// Longest file or folder name on common file systems, minus the index of a fan-out's child.
const LONGEST_STEP_ID: usize = 200;

/// Checks the text of a workflow file. An accepted workflow can be stored, and resumed from the stored form.
pub(super) fn workflow(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match parse::workflow(text, "fuzz.toml", &[], &CATALOG, &NoLibrary) {
        Ok(spec) => can_be_pinned(&spec),
        Err(errors) => is_reported(&errors, text),
    }
}

/// A workflow with a param of every type.
const PARAMS: &str = r#"
name = "w"
[params]
text = "x"
count = 1
rate = 0.5
on = true
list = [1]
table = { a = 1, b = { c = "x" } }
empty = {}
[[step]]
id = "s"
kind = "noop"
"#;

/// Checks lines of `NAME=VALUE`, each as one `-S`. An accepted value keeps the type of the default.
pub(super) fn overrides(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let overrides: Vec<_> = text.split('\n').filter_map(|line| line.split_once('=')).collect();
    let overrides: Vec<_> = overrides.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    match parse::workflow(PARAMS, "fuzz.toml", &overrides, &CATALOG, &NoLibrary) {
        Ok(spec) => {
            can_be_pinned(&spec);
            let plain = parse::workflow(PARAMS, "fuzz.toml", &[], &CATALOG, &NoLibrary).expect("the file is valid");
            assert!(spec.params.keys().eq(plain.params.keys()), "no param comes or goes");
            for (name, value) in &spec.params {
                assert_eq!(kind(value), kind(&plain.params[name]), "`{name}` is {value}");
            }
        }
        Err(errors) => is_reported(&errors, text),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "fraction",
        Value::Number(_) => "integer",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "table",
    }
}

fn can_be_pinned(spec: &WorkflowSpec) {
    survives(spec);
    assert_eq!(spec_digest(spec), json_digest(&serde_json::to_value(spec).expect("it has survived")));
    let again = parse::pinned(spec.clone(), "pinned", &[], &CATALOG);
    let again = again.unwrap_or_else(|errors| panic!("accepted, but not when resumed: {}", render(&errors)));
    assert_eq!(again, *spec, "resumed as another workflow");
    for step in &spec.steps {
        assert!(step.id.as_str().len() <= LONGEST_STEP_ID, "a folder cannot have the name of this step");
    }
}

fn is_reported(errors: &SpecErrors, text: &str) {
    let lines = text.split('\n').count();
    assert!(!errors.problems().is_empty(), "refused without a problem");
    for (line, column) in errors.problems().iter().filter_map(stepwell_workflow::diagnostic::Problem::position) {
        assert!((1..=lines.max(1)).contains(&line) && column >= 1, "{line}:{column} is not in the file");
    }
    drop(render(errors));
}

fn render(errors: &SpecErrors) -> String {
    errors.render(Color::Plain, 100)
}
