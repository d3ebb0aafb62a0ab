//! Finds outputs that a template turns into text: a program would get their record in place of a path.

use std::ops::Range;

use super::names::Names;
use super::templates::Placed;
use crate::diagnostic::Problems;
use crate::template::{Choice, Reference, Scan, Segment};

/// The step that reads the output, which decides what to write instead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reader {
    /// A program, which gets paths.
    Program,
    Other,
}

/// An output that a template names.
struct Named<'a> {
    /// As the template writes it.
    full: String,
    step: &'a str,
    output: &'a str,
    range: &'a Range<usize>,
}

pub(super) fn check(scan: &Scan, text: &str, names: &Names, reader: Reader, placed: &Placed, problems: &mut Problems) {
    let referred = scan.references.iter().filter_map(referred).filter(|named| {
        let (before, _) = around(text, named.range);
        becomes_text(text, named.range) && (is_open(before) || before.ends_with('~') || is_joined(text, named.range))
    });
    let chosen = scan.choices.iter().filter_map(chosen).filter(|named| becomes_text(text, named.range));
    for Named { full, step, output, range } in referred.chain(chosen) {
        let outputs = names.steps.get(step).map(|step| &step.outputs);
        let is_given =
            outputs.is_some_and(|known| known.as_ref().is_none_or(|known| known.iter().any(|name| name == output)));
        // An output that does not exist is reported as such.
        if is_given {
            problems
                .at(&placed.at(range), format!("`{full}` within other text is its record, not a path"))
                .label("an output within text")
                .hint(hint(&full, output, reader));
        }
    }
}

/// The output, or one of a list of them, if the reference names one and no field of it.
fn referred(reference: &Reference) -> Option<Named<'_>> {
    match reference.path.as_slice() {
        [Segment::Name(step), Segment::Name(group), Segment::Name(output)]
        | [Segment::Name(step), Segment::Name(group), Segment::Name(output), Segment::Index(_)]
            if reference.root == "steps" && group == "outputs" && !reference.computed =>
        {
            Some(Named { full: reference.to_string(), step, output, range: &reference.range })
        }
        _ => None,
    }
}

fn chosen(Choice { step, by, taken }: &Choice) -> Option<Named<'_>> {
    let (_, output, range) = taken.as_ref().filter(|(group, ..)| group == "outputs")?;
    let by = by.as_ref().map_or("..".to_owned(), |(path, _)| format!("by='{path}'"));
    Some(Named { full: format!("(steps.{step} | best({by})).outputs.{output}"), step, output, range })
}

fn around<'a>(text: &'a str, range: &Range<usize>) -> (&'a str, &'a str) {
    let (before, after) = (text.get(..range.start).unwrap_or_default(), text.get(range.end..).unwrap_or_default());
    (before.trim_end(), after.trim_start())
}

/// True if the value that ends here is printed into text, or joined to other text.
fn becomes_text(text: &str, range: &Range<usize>) -> bool {
    let (before, after) = around(text, range);
    let closes = after.strip_prefix(['-', '+']).unwrap_or(after).starts_with("}}");
    closes || after.starts_with('~') || before.ends_with('~')
}

fn is_joined(text: &str, range: &Range<usize>) -> bool {
    around(text, range).1.starts_with('~')
}

fn is_open(before: &str) -> bool {
    before.strip_suffix(['-', '+']).unwrap_or(before).ends_with("{{")
}

fn hint(full: &str, output: &str, reader: Reader) -> String {
    // Double quotes would end the text in the file.
    let full = full.replace('"', "'");
    match reader {
        Reader::Program => {
            let of_variable = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
            let variable: String = output.chars().map(of_variable).collect();
            format!(
                "pass the path in a variable, `env = {{ {variable} = \"{{{{ {full} }}}}\" }}`, or as an element of its own, \
                 `argv = [.., \"{{{{ {full} }}}}\"]`"
            )
        }
        Reader::Other => format!("write the whole argument as \"{{{{ {full} }}}}\", or name a field: `{full}.digest`"),
    }
}
