//! Splits the code regions of a template into tokens with their positions. It only finds names in templates
//! that the template engine has already accepted, and does not judge syntax.

use std::ops::Range;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Token<'a> {
    Name(&'a str),
    /// Quoted text; `None` if it has escapes.
    Text(Option<&'a str>),
    Number(&'a str),
    Symbol(char),
    /// Start of `{{ .. }}` or `{% .. %}`.
    Start,
}

pub(super) type Spanned<'a> = (Token<'a>, Range<usize>);

pub(super) fn expression(source: &str) -> Vec<Spanned<'_>> {
    let mut tokens = vec![(Token::Start, 0..0)];
    code(source, 0, None, &mut tokens);
    tokens
}

/// Tokens of all code regions of a template, without comments and raw blocks.
pub(super) fn template(source: &str) -> Vec<Spanned<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(found) = source[at..].find('{') {
        at += found;
        let rest = &source[at..];
        if rest.starts_with("{#") {
            at = after(source, at + 2, "#}");
        } else if rest.starts_with("{{") {
            tokens.push((Token::Start, at..at + 2));
            at = code(source, at + 2, Some("}}"), &mut tokens);
        } else if rest.starts_with("{%") {
            let before = tokens.len();
            tokens.push((Token::Start, at..at + 2));
            at = code(source, at + 2, Some("%}"), &mut tokens);
            let raw = tokens[before..].iter().any(|(token, _)| *token == Token::Name("raw"));
            if raw {
                tokens.truncate(before);
                at = source[at..].find("endraw").map_or(source.len(), |found| after(source, at + found, "%}"));
            }
        } else {
            at += 1;
        }
    }
    tokens
}

fn after(source: &str, from: usize, end: &str) -> usize {
    source[from..].find(end).map_or(source.len(), |found| from + found + end.len())
}

/// Reads code from `at` up to and including `end`; returns the offset behind it.
fn code<'a>(source: &'a str, mut at: usize, end: Option<&str>, tokens: &mut Vec<Spanned<'a>>) -> usize {
    let mut depth = 0usize;
    while let Some(next) = source[at..].chars().next() {
        if let Some(end) = end
            && depth == 0
            && source[at..].starts_with(end)
        {
            return at + end.len();
        }
        let start = at;
        let token = match next {
            '"' | '\'' => {
                at = text_end(source, at);
                let inner = source[start..at].trim_matches(next);
                Token::Text((!inner.contains('\\')).then_some(inner))
            }
            c if c.is_ascii_digit() => {
                let attribute = matches!(tokens.last(), Some((Token::Symbol('.'), _)));
                at += number_length(&source[at..], attribute);
                Token::Number(&source[start..at])
            }
            c if c.is_alphabetic() || c == '_' => {
                let rest = &source[at..];
                at += rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                Token::Name(&source[start..at])
            }
            c => {
                at += c.len_utf8();
                match c {
                    '(' | '[' | '{' => depth += 1,
                    ')' | ']' | '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if c.is_whitespace() {
                    continue;
                }
                Token::Symbol(c)
            }
        };
        tokens.push((token, start..at));
    }
    at
}

fn text_end(source: &str, start: usize) -> usize {
    let quote = source.as_bytes()[start];
    let mut escaped = false;
    for (at, byte) in source.bytes().enumerate().skip(start + 1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            byte if byte == quote => return at + 1,
            _ => {}
        }
    }
    source.len()
}

/// Measures a number: `1.5` is one, but the `0` of `xs.0.digest` ends at the point.
fn number_length(rest: &str, attribute: bool) -> usize {
    let bytes = rest.as_bytes();
    let mut length = 0;
    while length < bytes.len() {
        let point = bytes[length] == b'.' && !attribute && bytes.get(length + 1).is_some_and(u8::is_ascii_digit);
        if !(bytes[length].is_ascii_alphanumeric() || bytes[length] == b'_' || point) {
            break;
        }
        length += 1;
    }
    length
}
