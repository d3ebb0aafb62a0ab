//! Tags and printed expressions.

use std::ops::Range;

use super::expression::{Expression, ITEMS, PRINTED};
use super::lexer::{Kind, Part, Token, parts};

/// Filter of the text that a model learns.
pub const LEARNED: &str = "__learned";
/// Fields of `loop` that the engine does not have, by their distance.
const NEIGHBOURS: [(&str, char); 2] = [("previtem", '-'), ("nextitem", '+')];

/// Rewrites a template. One that cannot be read stays as it is, for the engine to refuse. Line ends become
/// `\n`, as in Python.
pub fn rewrite(source: &str) -> String {
    let source = &source.replace("\r\n", "\n").replace('\r', "\n");
    let Some(parts) = parts(source) else { return source.to_owned() };
    let mut text = String::with_capacity(source.len() * 2);
    let mut loops = Loops::default();
    for part in parts {
        match part {
            Part::Text(range) => text.push_str(&source[range]),
            Part::Expression { open, tokens, close } => {
                let inner = loops.with_neighbours(&rewritten(source, &tokens));
                let printed = format!("({inner})|{PRINTED}");
                let printed = if tokens.is_empty() { String::new() } else { printed };
                push(&mut text, source, &open, &tokens, &printed, &close);
            }
            Part::Tag { open, tokens, close } => {
                let word = tokens.first().map_or("", |token| &source[token.range.clone()]);
                match word {
                    // Marks answers for training.
                    "generation" => push(&mut text, source, &open, &tokens, &format!("filter {LEARNED}"), &close),
                    "endgeneration" => push(&mut text, source, &open, &tokens, "endfilter", &close),
                    "for" => loops.start(&mut text, source, &open, &tokens, &close),
                    _ => {
                        if word == "endfor" {
                            loops.open.pop();
                        }
                        let inner = loops.with_neighbours(&tag(source, &tokens));
                        push(&mut text, source, &open, &tokens, &inner, &close);
                    }
                }
            }
        }
    }
    text
}

fn rewritten(source: &str, tokens: &[Token]) -> String {
    Expression { source, tokens }.rewrite()
}

/// A tag: its name stays, and the rest is an expression. Names that a `set` or a `macro` assigns are expressions, too.
fn tag(source: &str, tokens: &[Token]) -> String {
    let Some((first, rest)) = tokens.split_first() else { return String::new() };
    let word = &source[first.range.clone()];
    let gap = |next: &Token, before: &Token| source[before.range.end..next.range.start].to_owned();
    let Some(next) = rest.first() else { return word.to_owned() };
    // `macro name(a, b=1)` and `call(x) name()` declare; their brackets hold no values that grow.
    if matches!(word, "macro" | "block" | "raw" | "include" | "import" | "from" | "extends") {
        let end = tokens.last().map_or(first.range.end, |last| last.range.end);
        return source[first.range.start..end].to_owned();
    }
    format!("{word}{}{}", gap(next, first), rewritten(source, rest))
}

fn push(text: &mut String, source: &str, open: &Range<usize>, tokens: &[Token], inner: &str, close: &Range<usize>) {
    let (before, after) = match (tokens.first(), tokens.last()) {
        (Some(first), Some(last)) => (&source[open.end..first.range.start], &source[last.range.end..close.start]),
        _ => ("", &source[open.end..close.start]),
    };
    for piece in [&source[open.clone()], before, inner, after, &source[close.clone()]] {
        text.push_str(piece);
    }
}

/// Open loops, innermost last: the variable with the items of those that need it.
#[derive(Default)]
struct Loops {
    open: Vec<Option<String>>,
    count: usize,
}

impl Loops {
    /// Writes a `for` tag. `loop.previtem` needs the items in a variable of their own.
    fn start(&mut self, text: &mut String, source: &str, open: &Range<usize>, tokens: &[Token], close: &Range<usize>) {
        let word = |token: &Token| &source[token.range.clone()];
        let is = |token: &Token, name: &str| token.kind == Kind::Name && word(token) == name;
        let depth_free = |name: &str| tokens.iter().position(|token| is(token, name));
        let uses = NEIGHBOURS.iter().any(|(name, _)| source.contains(name));
        let plain = depth_free("if").is_none() && depth_free("recursive").is_none();
        let Some(list) = depth_free("in").map(|at| at + 1).filter(|at| uses && plain && *at < tokens.len()) else {
            let inner = self.with_neighbours(&tag(source, tokens));
            push(text, source, open, tokens, &inner, close);
            self.open.push(None);
            return;
        };
        self.count += 1;
        let name = format!("__items{}", self.count);
        let items = self.with_neighbours(&rewritten(source, &tokens[list..]));
        let head = &source[tokens[0].range.start..tokens[list - 1].range.end];
        let delimiter = &source[open.clone()];
        let end = &source[close.clone()];
        text.push_str(&format!("{delimiter} set {name} = {ITEMS}({items}) -%}}{{%- {head} {name} {end}"));
        self.open.push(Some(name));
    }

    /// Replaces `loop.previtem` and `loop.nextitem`.
    fn with_neighbours(&self, text: &str) -> String {
        let Some(Some(items)) = self.open.last() else { return text.to_owned() };
        let mut text = text.to_owned();
        for (name, sign) in NEIGHBOURS {
            // Outside of the list there is no item: an index of its length is undefined.
            let index = match sign {
                '-' => format!("(loop.index0 - 1 if not loop.first else {items}|length)"),
                _ => "(loop.index)".to_owned(),
            };
            text = text.replace(&format!("loop.{name}"), &format!("{items}[{index}]"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::rewrite;

    #[test]
    fn what_may_grow_is_charged_and_dictionaries_keep_their_order() {
        for (source, expected) in [
            ("a {{ b }} c", "a {{ (b)|__printed }} c"),
            ("{{- a.b('x') ~ c[1:] -}}", "{{- (a.b('x')|__printed ~ (c|__copied)[1:]|__printed)|__printed -}}"),
            ("{% set x = x + 'y'|upper %}", "{% set x = x|__copied + 'y'|__printed|upper|__copied %}"),
            ("{% if 'a' * 3 in b %}", "{% if 'a'|__factor * 3|__factor in b %}"),
            ("{{ {'b': 1, 'a': {}} }}", "{{ (__dict([['b', 1],[ 'a', __dict([])],]))|__printed }}"),
            ("{% generation %}x{%- endgeneration -%}", "{% filter __learned %}x{%- endfilter -%}"),
            ("{% macro m(a, b=1 + 2) %}", "{% macro m(a, b=1 + 2) %}"),
            ("{{ x if y else z }}", "{{ (x if y else z)|__printed }}"),
            ("{{ broken", "{{ broken"),
        ] {
            assert_eq!(rewrite(source), expected);
        }
    }

    #[test]
    fn neighbours_of_a_loop_come_from_a_list() {
        assert_eq!(
            rewrite("{%- for m in ms -%}{% if loop.previtem %}{% endif %}{% endfor %}{{ loop.previtem }}"),
            "{%- set __items1 = __items(ms) -%}{%- for m in __items1 -%}\
             {% if __items1[(loop.index0 - 1 if not loop.first else __items1|length)] %}{% endif %}{% endfor %}\
             {{ (loop.previtem)|__printed }}"
        );
    }
}
