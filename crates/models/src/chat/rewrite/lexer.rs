//! Splits a template into text, comments, expressions and tags, and those into tokens.

use std::ops::Range;

/// A part of a template. Ranges are bytes of the source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// Text, a comment or the contents of a `raw` block: copied.
    Text(Range<usize>),
    /// `{{ ... }}`, with its tokens and the ends of both delimiters.
    Expression { open: Range<usize>, tokens: Vec<Token>, close: Range<usize> },
    /// `{% ... %}`.
    Tag { open: Range<usize>, tokens: Vec<Token>, close: Range<usize> },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    pub kind: Kind,
    pub range: Range<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Name,
    /// A number or a text.
    Literal,
    Open,
    Close,
    Operator,
}

/// Returns `None` for a template that does not end its blocks or texts; the engine tells the reason.
pub fn parts(source: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(offset) = source[at..].find('{') {
        let start = at + offset;
        let kind = source.as_bytes().get(start + 1);
        match kind {
            Some(b'#') => {
                let end = start + source[start..].find("#}")? + 2;
                parts.push(Part::Text(at..end));
                at = end;
            }
            Some(b'{' | b'%') => {
                if start > at {
                    parts.push(Part::Text(at..start));
                }
                let is_tag = kind == Some(&b'%');
                let signed = matches!(source.as_bytes().get(start + 2), Some(b'-' | b'+'));
                let open = start..start + 2 + usize::from(signed);
                let (tokens, close) = tokens(source, open.end, if is_tag { "%}" } else { "}}" })?;
                at = close.end;
                let is_raw = is_tag && tokens.len() == 1 && source.get(tokens[0].range.clone()) == Some("raw");
                parts.push(match is_tag {
                    true => Part::Tag { open, tokens, close },
                    false => Part::Expression { open, tokens, close },
                });
                if is_raw {
                    let end = raw_end(source, at)?;
                    parts.push(Part::Text(at..end));
                    at = end;
                }
            }
            _ => {
                parts.push(Part::Text(at..start + 1));
                at = start + 1;
            }
        }
    }
    parts.push(Part::Text(at..source.len()));
    Some(parts)
}

/// Offset of the tag that ends a `raw` block.
fn raw_end(source: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let start = at + source[at..].find("{%")?;
        if source[start + 2..].trim_start_matches(['-', '+']).trim_start().starts_with("endraw") {
            return Some(start);
        }
        at = start + 2;
    }
}

/// Tokens up to the delimiter `end`, and the range of the delimiter with its sign.
fn tokens(source: &str, from: usize, end: &str) -> Option<(Vec<Token>, Range<usize>)> {
    let mut tokens = Vec::new();
    let mut depth = 0_usize;
    let mut at = from;
    loop {
        let rest = &source[at..];
        let first = rest.chars().next()?;
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        if depth == 0 {
            let signed = rest.strip_prefix(['-', '+']).is_some_and(|rest| rest.starts_with(end));
            if signed || rest.starts_with(end) {
                let length = end.len() + usize::from(signed);
                return Some((tokens, at..at + length));
            }
        }
        let (kind, length) = token(rest, first)?;
        match kind {
            Kind::Open => depth += 1,
            Kind::Close => depth = depth.checked_sub(1)?,
            _ => {}
        }
        tokens.push(Token { kind, range: at..at + length });
        at += length;
    }
}

fn token(rest: &str, first: char) -> Option<(Kind, usize)> {
    let run = |keep: fn(char) -> bool| rest.find(|character| !keep(character)).unwrap_or(rest.len());
    Some(match first {
        '"' | '\'' => (Kind::Literal, text_length(rest, first)?),
        '0'..='9' => (Kind::Literal, number_length(rest)),
        '(' | '[' | '{' => (Kind::Open, 1),
        ')' | ']' | '}' => (Kind::Close, 1),
        _ if first.is_alphabetic() || first == '_' => {
            (Kind::Name, run(|character| character.is_alphanumeric() || character == '_'))
        }
        _ => {
            let long = ["**", "//", "==", "!=", "<=", ">="].into_iter().any(|operator| rest.starts_with(operator));
            (Kind::Operator, if long { 2 } else { first.len_utf8() })
        }
    })
}

fn text_length(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (offset, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return Some(offset + 1),
            _ => {}
        }
    }
    None
}

/// Length of a number such as `12`, `1.5`, `1e-3` or `0xff`.
fn number_length(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut length = 0;
    while let Some(byte) = bytes.get(length) {
        let next_is_digit = bytes.get(length + 1).is_some_and(u8::is_ascii_digit);
        let part = match byte {
            b'0'..=b'9' | b'_' | b'a'..=b'z' | b'A'..=b'Z' => true,
            b'.' => next_is_digit,
            b'+' | b'-' => matches!(bytes[length - 1], b'e' | b'E') && next_is_digit && !rest.starts_with("0x"),
            _ => false,
        };
        if !part {
            break;
        }
        length += 1;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        parts(source)
            .unwrap()
            .into_iter()
            .flat_map(|part| match part {
                Part::Text(range) => vec![format!("text:{}", &source[range])],
                Part::Expression { tokens, close, .. } | Part::Tag { tokens, close, .. } => {
                    let mut words: Vec<String> =
                        tokens.iter().map(|token| source[token.range.clone()].to_owned()).collect();
                    words.push(source[close].to_owned());
                    words
                }
            })
            .collect()
    }

    #[test]
    fn delimiters_in_texts_and_brackets_do_not_end_an_expression() {
        assert_eq!(
            words("a{{ '}}' ~ {'b': {}} -}}c"),
            ["text:a", "'}}'", "~", "{", "'b'", ":", "{", "}", "}", "-}}", "text:c"]
        );
        assert_eq!(words("{% raw %}{{ x }}{%- endraw %}"), ["raw", "%}", "text:{{ x }}", "endraw", "%}", "text:"]);
        assert_eq!(
            words("{# {{ #}{ {{1.5e-3-1}}"),
            ["text:{# {{ #}", "text:{", "text: ", "1.5e-3", "-", "1", "}}", "text:"]
        );
        assert_eq!(words("{{ x[::-1]|y }}"), ["x", "[", ":", ":", "-", "1", "]", "|", "y", "}}", "text:"]);
    }

    #[test]
    fn what_does_not_end_is_left_to_the_engine() {
        for source in ["{{ x", "{% 'x %}", "{# x", "{{ x ) }}", "{% raw %}x", "{{ ( }}"] {
            assert_eq!(parts(source), None, "{source}");
        }
    }
}
