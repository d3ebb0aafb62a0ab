//! Checks the templates of a step: their syntax, their names, and the steps they refer to.

use std::ops::Range;

use serde_json::{Map, Value};

use super::names::{Names, StepNames, StepShape};
use super::output_in_text::{self, Reader};
use super::uses;
use crate::diagnostic::{Problems, Span};
use crate::document::{Data, Located, Node, Table};
use crate::draft::StepDraft;
use crate::kinds::COMMAND;
use crate::template::{
    Choice, Form, GLOB, Reason, Reference, Scan, Segment, SyntaxError, TemplateError, condition_of, constant,
    expression_text, form, items_of, scan_expression, scan_text,
};
use stepwell_base::secret;
use stepwell_base::suggest;

/// Reports problems of the step's templates; returns the steps that they refer to, in order of appearance:
/// `with`, `for_each`, `when`.
pub(super) fn check(step: &StepDraft, names: &Names, problems: &mut Problems) -> Vec<Located<String>> {
    let mut checker = Checker::new(names, problems);
    checker.in_fan_out = step.for_each.is_some();
    // A skipped step or an empty fan-out evaluates no templates of its arguments.
    checker.is_evaluated = step.when.is_none() && step.for_each.is_none();
    let is_command = step.kind.as_ref().is_some_and(|kind| kind.value == COMMAND);
    checker.reader = if is_command { Reader::Program } else { Reader::Other };
    for (name, node) in &step.with.entries {
        checker.keeps_secrets = is_command && secret::PLACES.contains(&name.value.as_str());
        checker.node(node);
    }
    checker.keeps_secrets = false;
    // Both are evaluated once for the step, before items exist.
    checker.in_fan_out = false;
    if let Some(expression) = &step.for_each {
        checker.lists_files = true;
        checker.expression(expression, |text, params| items_of(text, params).filter(|_| step.when.is_none()));
    }
    checker.lists_files = false;
    if let Some(expression) = &step.when {
        checker.expression(expression, condition_of);
    }
    checker.referenced
}

/// Reports problems in the templates of the workflow's own outputs.
pub(super) fn check_outputs(outputs: &Table, names: &Names, problems: &mut Problems) {
    Checker::new(names, problems).table(outputs);
}

struct Checker<'a> {
    names: &'a Names,
    /// True where `item` and `index` have a meaning.
    in_fan_out: bool,
    /// True if no result of a template is stored.
    keeps_secrets: bool,
    /// True if every run evaluates the arguments.
    is_evaluated: bool,
    /// True in `for_each`, which may list files.
    lists_files: bool,
    reader: Reader,
    problems: &'a mut Problems,
    referenced: Vec<Located<String>>,
}

/// Maps offsets in a decoded text to places in the file.
pub(super) struct Placed {
    span: Span,
    /// Start of the text in the file; `None` if escapes make the two differ.
    start: Option<usize>,
}

impl Placed {
    pub(super) fn new(source: &str, span: &Span, text: &str) -> Placed {
        let raw = source.get(span.clone()).unwrap_or_default();
        let start = raw.find(text).filter(|_| !text.is_empty()).map(|offset| span.start + offset);
        Placed { span: span.clone(), start }
    }

    pub(super) fn at(&self, range: &Range<usize>) -> Span {
        self.start.map_or_else(|| self.span.clone(), |start| start + range.start..start + range.end)
    }

    fn shifted(mut self, offset: usize) -> Placed {
        self.start = self.start.map(|start| start + offset);
        self
    }
}

impl<'a> Checker<'a> {
    fn new(names: &'a Names, problems: &'a mut Problems) -> Checker<'a> {
        Checker {
            names,
            in_fan_out: false,
            keeps_secrets: false,
            is_evaluated: true,
            lists_files: false,
            reader: Reader::Other,
            problems,
            referenced: Vec::new(),
        }
    }

    fn table(&mut self, table: &Table) {
        for (_, node) in &table.entries {
            self.node(node);
        }
    }

    fn node(&mut self, node: &Node) {
        match &node.data {
            Data::Text(text) => self.text(text, &node.span),
            Data::List(items) => items.iter().for_each(|item| self.node(item)),
            Data::Table(table) => self.table(table),
            Data::Bool(_) | Data::Number(_) => {}
        }
    }

    fn text(&mut self, text: &str, span: &Span) {
        let placed = Placed::new(self.problems.text(), span, text);
        let before = self.problems.count();
        match form(text) {
            Form::Literal => return,
            Form::Expression { source, offset } => {
                self.scanned(scan_expression(source), source, &placed.shifted(offset));
            }
            Form::Mixed => self.scanned(scan_text(text), text, &placed),
        }
        if self.is_evaluated
            && self.problems.count() == before
            && let Some(Err(reason)) = constant(text, &self.names.params)
        {
            self.fails(text, span, reason);
        }
    }

    /// `evaluate` returns the error of an expression that uses only params.
    fn expression(
        &mut self,
        expression: &Located<String>,
        evaluate: impl FnOnce(&str, &Map<String, Value>) -> Option<Reason>,
    ) {
        let Located { value: text, span } = expression;
        let (source, offset) = expression_text(text);
        let placed = Placed::new(self.problems.text(), span, text).shifted(offset);
        let before = self.problems.count();
        self.scanned(scan_expression(source), source, &placed);
        if self.problems.count() == before
            && let Some(reason) = evaluate(text, &self.names.params)
        {
            self.fails(text, span, reason);
        }
    }

    /// Reports a template that fails before the run, because its result is already known.
    fn fails(&mut self, text: &str, span: &Span, reason: Reason) {
        let message = format!("`{}` fails in every run: {reason}", text.trim());
        let hint = TemplateError::new("", text, reason).hint();
        let problem = self.problems.at(span, message);
        if let Some(hint) = hint {
            problem.hint(hint);
        }
    }

    fn scanned(&mut self, scan: Result<Scan, SyntaxError>, text: &str, placed: &Placed) {
        let scan = match scan {
            Ok(scan) => scan,
            Err(error) => {
                let span = error.range.map_or_else(|| placed.span.clone(), |range| placed.at(&range));
                self.problems
                    .at(&span, format!("invalid template: {}", error.message))
                    .hint("to pass `{{`, `{%` or `{#` on as text, write `{% raw %}..{% endraw %}`");
                return;
            }
        };
        for reference in &scan.references {
            self.reference(reference, &scan, text, placed);
        }
        for choice in &scan.choices {
            self.choice(choice, placed);
        }
        uses::check(&scan, "a template", placed, self.problems);
        output_in_text::check(&scan, text, self.names, self.reader, placed, self.problems);
        for (_, range) in scan.functions.iter().filter(|(name, _)| name == GLOB && !self.lists_files) {
            self.problems
                .at(&placed.at(range), "`glob` lists files for `for_each` only")
                .hint("write `for_each = \"glob('data/*.txt')\"`: `{{ item }}` is then the name of one file");
        }
    }

    fn reference(&mut self, reference: &Reference, scan: &Scan, text: &str, placed: &Placed) {
        let span = placed.at(&reference.range);
        match reference.root.as_str() {
            "params" => self.param(reference, &span),
            "steps" => self.step(reference, scan, &span),
            "run" => self.run(reference, &span),
            "secrets" => self.secret(reference, text, &span),
            name if scan.locals.contains(name) => {}
            "item" | "index" if self.in_fan_out => {}
            name @ ("item" | "index") => {
                self.problems
                    .at(&span, format!("`{name}` has no meaning here"))
                    .hint("it stands for the item of a fan-out in the `with` of a step that has `for_each`");
            }
            name => self.unknown_root(name, &span),
        }
    }

    /// Reports names that no child of the chosen fan-out gives.
    fn choice(&mut self, Choice { step, by, taken }: &Choice, placed: &Placed) {
        let Some(known) = self.names.steps.get(step) else { return };
        let by = by.as_ref().and_then(|(path, range)| {
            let mut parts = path.split('.');
            let name = match parts.next()? {
                "values" => parts.next()?,
                "outputs" | "item" | "index" => return None,
                name => name,
            };
            Some(("values", name, range))
        });
        let taken = taken.as_ref().map(|(group, name, range)| (group.as_str(), name.as_str(), range));
        for (group, name, range) in by.into_iter().chain(taken) {
            let path = [Segment::Name(name.to_owned())];
            if matches!(group, "outputs" | "values")
                && let Some((message, hint)) = not_given(step, known, group, &path)
            {
                self.problems.at(&placed.at(range), message).label("not given").hint(hint);
            }
        }
    }

    fn unknown_root(&mut self, name: &str, span: &Span) {
        const ROOTS: [&str; 6] = ["params", "steps", "secrets", "item", "index", "run"];
        let hint = if self.names.params.contains_key(name) {
            format!("write `params.{name}`")
        } else if self.names.secrets.contains(name) {
            format!("write `secrets.{name}`")
        } else if self.names.steps.contains_key(name) {
            format!("write `steps.{name}.outputs.NAME` or `steps.{name}.values.NAME`")
        } else {
            suggest::hint(name, "names", ROOTS)
        };
        self.problems.at(span, format!("unknown name `{name}` in a template")).label("not known here").hint(hint);
    }

    fn param(&mut self, reference: &Reference, span: &Span) {
        let names = self.names;
        let mut path = "params".to_owned();
        let mut table = &names.params;
        for segment in &reference.path {
            let Segment::Name(name) = segment else { return };
            let Some(value) = table.get(name) else {
                let what = if path == "params" { "params".to_owned() } else { format!("keys of `{path}`") };
                self.problems
                    .at(span, format!("unknown param `{name}`: there is no `{path}.{name}`"))
                    .label("not in [params]")
                    .hint(suggest::hint(name, &what, table.keys().map(String::as_str)));
                return;
            };
            let Value::Object(inner) = value else { return };
            table = inner;
            path = format!("{path}.{name}");
        }
    }

    fn run(&mut self, reference: &Reference, span: &Span) {
        match reference.path.as_slice() {
            [Segment::Name(name)] if matches!(name.as_str(), "id" | "name" | "scheduled_at") => {}
            _ => {
                self.problems
                    .at(span, format!("unknown name `{reference}`"))
                    .hint("known names: `run.id`, `run.name`, `run.scheduled_at`");
            }
        }
    }

    fn secret(&mut self, reference: &Reference, text: &str, span: &Span) {
        let Some(Segment::Name(name)) = reference.path.first() else {
            self.problems.at(span, "a template must name its secret").hint("write `{{ secrets.NAME }}`");
            return;
        };
        if !self.names.secrets.contains(name) {
            let hint = match self.names.secrets.is_empty() {
                true => format!("write `[secrets]` and below it `{name} = {{ env = \"VARIABLE\" }}`"),
                false => suggest::hint(name, "secrets", self.names.secrets.iter().map(String::as_str)),
            };
            self.problems.at(span, format!("unknown secret `{name}`")).label("not in [secrets]").hint(hint);
        } else if !self.keeps_secrets {
            self.problems
                .at(span, "a secret would not stay secret here")
                .hint("pass it to a program: `env`, `argv` or `shell` of a step of kind `command`");
        } else if reference.path.len() > 1 || reference.computed || !stands_alone(text, &reference.range) {
            self.problems
                .at(span, format!("the secret `{name}` can only be passed on as it is"))
                .hint(format!("write `{{{{ secrets.{name} }}}}`, without filters, conditions and operators"));
        }
    }

    fn step(&mut self, reference: &Reference, scan: &Scan, span: &Span) {
        let Some(Segment::Name(id)) = reference.path.first() else {
            self.problems
                .at(span, "a template must name its step")
                .hint("write `steps.ID.outputs.NAME`: what a step needs must be known before the run");
            return;
        };
        let Some(known) = self.names.steps.get(id) else {
            let known = self.names.steps.keys().map(String::as_str);
            let hint = match id_with_hyphens(id, self.names) {
                Some(known) => format!("write `steps[\"{known}\"]`: a template reads `-` as minus"),
                None => suggest::hint(id, "steps", known),
            };
            self.problems.at(span, format!("unknown step `{id}` in a template")).label("no such step").hint(hint);
            return;
        };
        self.referenced.push(Located { value: id.clone(), span: span.clone() });
        match reference.path.get(1..).unwrap_or_default() {
            [Segment::Name(group), rest @ ..] if matches!(group.as_str(), "outputs" | "values") => {
                if let Some((message, hint)) = not_given(id, known, group, rest) {
                    self.problems.at(span, message).label("not given").hint(hint);
                } else if let (StepShape::Many, [Segment::Name(name), Segment::Name(field), ..]) = (known.shape, rest) {
                    self.problems
                        .at(span, format!("`{reference}`: step `{id}` is a fan-out, so `{name}` is a list"))
                        .hint(format!(
                            "pick one, `steps.{id}.{group}.{name}[0].{field}`, or map over all: \
                             `steps.{id}.{group}.{name} | map(attribute=\"{field}\")`"
                        ));
                }
            }
            // The method is reported as such.
            [] if reference.computed && !scan.methods.is_empty() => {}
            [] if known.shape == StepShape::Many && chooses(scan) => {}
            [Segment::Name(group), ..] if known.shape == StepShape::Many && group == "children" => {}
            _ => {
                let one_of_many = match known.shape {
                    StepShape::Many => {
                        format!(", or `(steps.{id} | best(by=\"values.NAME\")).outputs.NAME` for one child")
                    }
                    StepShape::One => String::new(),
                };
                self.problems
                    .at(span, format!("a step has `outputs` and `values`, not `{reference}`"))
                    .hint(format!("write `steps.{id}.outputs.NAME` or `steps.{id}.values.NAME`{one_of_many}"));
            }
        }
    }
}

/// True if the template chooses a child of a fan-out.
fn chooses(scan: &Scan) -> bool {
    let names = scan.filters.iter().chain(&scan.functions).map(|(name, _)| name.as_str());
    names.into_iter().any(|name| matches!(name, "best" | "min" | "max"))
}

/// True if the expression is only the reference: the rest of `text` is `{{` and `}}`, or empty.
fn stands_alone(text: &str, range: &Range<usize>) -> bool {
    let (Some(before), Some(after)) = (text.get(..range.start), text.get(range.end..)) else { return false };
    let (before, after) = (before.trim_end(), after.trim_start());
    let opens = before.is_empty() || before.strip_suffix(['-', '+']).unwrap_or(before).ends_with("{{");
    let closes = after.is_empty() || after.strip_prefix(['-', '+']).unwrap_or(after).starts_with("}}");
    opens && closes
}

/// Returns a message and a hint when the step does not give the `path` in `group`, or an artifact lacks the field.
fn not_given(id: &str, step: &StepNames, group: &str, path: &[Segment]) -> Option<(String, String)> {
    let [Segment::Name(name), rest @ ..] = path else { return None };
    let (known, other, elsewhere) = match group {
        "outputs" => (&step.outputs, &step.values, "values"),
        _ => (&step.values, &step.outputs, "outputs"),
    };
    if let Some(known) = known.as_ref().filter(|known| !known.contains(name)) {
        let what = group.trim_end_matches('s');
        let message = format!("step `{id}` (`{}`) gives no {what} `{name}`", step.kind);
        let is_elsewhere = other.as_ref().is_some_and(|other| other.contains(name));
        return Some((
            message,
            match (is_elsewhere, known.is_empty(), step.kind.as_str()) {
                (true, ..) => format!("write `steps.{id}.{elsewhere}.{name}`"),
                (false, true, "command") => format!("declare it in the step: `outputs = {{ {name} = \"FILE\" }}`"),
                _ => suggest::hint(name, &format!("{group} of `{id}`"), known.iter().map(String::as_str)),
            },
        ));
    }
    let field = match (group, step.shape, rest) {
        ("outputs", StepShape::One, [Segment::Name(field), ..]) => field,
        ("outputs", StepShape::Many, [Segment::Index(_), Segment::Name(field), ..]) => field,
        _ => return None,
    };
    (!FIELDS.contains(&field.as_str())).then(|| {
        let hint = suggest::hint(field, "fields", FIELDS);
        (format!("the artifact `{name}` of step `{id}` has no field `{field}`"), hint)
    })
}

/// Fields of an artifact.
const FIELDS: [&str; 3] = ["digest", "size", "media_type"];

/// Returns the step meant by `steps.my-step`, of which a template sees only `steps.my`.
fn id_with_hyphens<'a>(seen: &str, names: &'a Names) -> Option<&'a str> {
    let prefix = format!("{seen}-");
    names.steps.keys().map(String::as_str).find(|id| id.starts_with(&prefix))
}
