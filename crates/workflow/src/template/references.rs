//! Finds the names that a template refers to, with their positions.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use super::choice::{Choice, choices};
use super::lexer::{Spanned, Token, expression};

/// A chain such as `steps.clean.outputs["train"]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Reference {
    pub(crate) root: String,
    pub(crate) path: Vec<Segment>,
    /// Byte range in the template's source.
    pub(crate) range: Range<usize>,
    /// A part known only at run time follows: `[expression]` or a slice.
    pub(crate) computed: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Segment {
    Name(String),
    Index(i64),
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.root)?;
        for segment in &self.path {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Name(name) if is_identifier(name) => write!(f, ".{name}")?,
                Segment::Name(name) => write!(f, "[{name:?}]")?,
            }
        }
        Ok(())
    }
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || c == '_') && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// Everything that a template names.
#[derive(Clone, Default, Debug)]
pub(crate) struct Scan {
    pub(crate) references: Vec<Reference>,
    pub(crate) filters: Vec<(String, Range<usize>)>,
    pub(crate) tests: Vec<(String, Range<usize>)>,
    pub(crate) functions: Vec<(String, Range<usize>)>,
    /// Method calls such as `name.method()`.
    pub(crate) methods: Vec<(String, Range<usize>)>,
    pub(crate) choices: Vec<Choice>,
    /// Names that the template itself defines (`{% for x in .. %}`, `{% set x = .. %}`).
    pub(crate) locals: HashSet<String>,
}

const KEYWORDS: [&str; 31] = [
    "and",
    "or",
    "not",
    "in",
    "is",
    "if",
    "else",
    "elif",
    "endif",
    "for",
    "endfor",
    "set",
    "endset",
    "with",
    "endwith",
    "filter",
    "endfilter",
    "autoescape",
    "endautoescape",
    "do",
    "recursive",
    "raw",
    "endraw",
    "true",
    "false",
    "none",
    "True",
    "False",
    "None",
    "loop",
    "self",
];

impl Scan {
    pub(super) fn of(tokens: &[Spanned<'_>]) -> Scan {
        let mut scan = Scan { choices: choices(tokens), ..Scan::default() };
        let mut statement = "";
        let mut at = 0;
        while at < tokens.len() {
            let (token, range) = &tokens[at];
            if *token == Token::Start {
                statement = match tokens.get(at + 1..) {
                    Some([(Token::Symbol('-' | '+'), _), (Token::Name(name), _), ..]) => name,
                    Some([(Token::Name(name), _), ..]) => name,
                    _ => "",
                };
            }
            let Token::Name(name) = token else {
                at += 1;
                continue;
            };
            at = match role(tokens, at, statement) {
                Role::Keyword => {
                    if *name == "in" {
                        statement = "";
                    }
                    at + 1
                }
                Role::Local => {
                    scan.locals.insert((*name).to_owned());
                    at + 1
                }
                Role::Argument => at + 1,
                Role::Filter => {
                    scan.filters.push(((*name).to_owned(), range.clone()));
                    at + 1
                }
                Role::Test => {
                    scan.tests.push(((*name).to_owned(), range.clone()));
                    at + 1
                }
                Role::Method => {
                    scan.methods.push(((*name).to_owned(), range.clone()));
                    at + 1
                }
                Role::Function => {
                    scan.functions.push(((*name).to_owned(), range.clone()));
                    at + 1
                }
                Role::Reference => {
                    let (reference, next) = chain(tokens, at, name);
                    scan.references.push(reference);
                    next
                }
            };
        }
        scan
    }
}

enum Role {
    Keyword,
    /// Target of `for`, `set` or `with`.
    Local,
    /// Name of a keyword argument, or an attribute of a computed value.
    Argument,
    Filter,
    Test,
    Function,
    Method,
    Reference,
}

fn role(tokens: &[Spanned<'_>], at: usize, statement: &str) -> Role {
    let token = |index: Option<usize>| index.and_then(|index| tokens.get(index)).map(|(token, _)| token);
    let before = token(at.checked_sub(1));
    let next = token(Some(at + 1));
    let assigned = next == Some(&Token::Symbol('=')) && !doubled(tokens, at + 1);
    let negated_test = before == Some(&Token::Name("not")) && token(at.checked_sub(2)) == Some(&Token::Name("is"));
    match (before, &tokens[at].0) {
        (Some(Token::Symbol('.')), _) if next == Some(&Token::Symbol('(')) => {
            match (token(at.checked_sub(2)), &tokens[at].0) {
                (Some(Token::Name("loop")), Token::Name("cycle" | "changed")) => Role::Argument,
                _ => Role::Method,
            }
        }
        (Some(Token::Symbol('.')), _) => Role::Argument,
        (Some(Token::Symbol('|')), _) => Role::Filter,
        (Some(Token::Name("is")), name) if *name != Token::Name("not") => Role::Test,
        _ if negated_test => Role::Test,
        (Some(Token::Name("filter")), _) if statement == "filter" => Role::Filter,
        (_, Token::Name(name)) if KEYWORDS.contains(name) => Role::Keyword,
        _ if statement == "for" => Role::Local,
        _ if assigned && matches!(statement, "set" | "with") && !in_brackets(tokens, at) => Role::Local,
        _ if assigned => Role::Argument,
        _ if next == Some(&Token::Symbol('(')) => Role::Function,
        _ => Role::Reference,
    }
}

/// True if the symbol at `at` is the first half of `==`.
fn doubled(tokens: &[Spanned<'_>], at: usize) -> bool {
    matches!(tokens.get(at + 1), Some((Token::Symbol('='), range)) if range.start == tokens[at].1.end)
}

/// True if the token is inside brackets that opened in the same statement.
fn in_brackets(tokens: &[Spanned<'_>], at: usize) -> bool {
    let mut depth = 0i64;
    for (token, _) in tokens[..at].iter().rev() {
        match token {
            Token::Start => break,
            Token::Symbol('(' | '[' | '{') => depth += 1,
            Token::Symbol(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
    }
    depth > 0
}

/// Reads the chain that starts with the name at `at`; returns it with the index of the token behind it.
fn chain(tokens: &[Spanned<'_>], at: usize, root: &str) -> (Reference, usize) {
    let mut reference =
        Reference { root: root.to_owned(), path: Vec::new(), range: tokens[at].1.clone(), computed: false };
    let mut next = at + 1;
    loop {
        let rest: Vec<&Token<'_>> = tokens[next..].iter().take(4).map(|(token, _)| token).collect();
        let (segment, length) = match rest.as_slice() {
            // `name.method(`: the method belongs to the value, not to the path.
            [Token::Symbol('.'), Token::Name(_), Token::Symbol('('), ..] => {
                reference.computed = true;
                break;
            }
            [Token::Symbol('.'), Token::Name(name), ..] => (Segment::Name((*name).to_owned()), 2),
            [Token::Symbol('.'), Token::Number(digits), ..] => match digits.parse() {
                Ok(index) => (Segment::Index(index), 2),
                Err(_) => break,
            },
            [Token::Symbol('['), Token::Text(Some(name)), Token::Symbol(']'), ..] => {
                (Segment::Name((*name).to_owned()), 3)
            }
            [Token::Symbol('['), Token::Number(digits), Token::Symbol(']'), ..] if digits.parse::<i64>().is_ok() => {
                (Segment::Index(digits.parse().unwrap_or_default()), 3)
            }
            [Token::Symbol('['), Token::Symbol('-'), Token::Number(digits), Token::Symbol(']')]
                if digits.parse::<i64>().is_ok() =>
            {
                (Segment::Index(-digits.parse::<i64>().unwrap_or_default()), 4)
            }
            [Token::Symbol('['), ..] => {
                reference.computed = true;
                break;
            }
            _ => break,
        };
        reference.path.push(segment);
        next += length;
        reference.range.end = tokens[next - 1].1.end;
    }
    (reference, next)
}

/// Returns the reference if the expression consists of nothing else.
pub(crate) fn whole_reference(source: &str) -> Option<Reference> {
    let tokens = expression(source);
    let (Some((Token::Start, _)), Some((Token::Name(root), _))) = (tokens.first(), tokens.get(1)) else {
        return None;
    };
    if !matches!(role(&tokens, 1, ""), Role::Reference) {
        return None;
    }
    let (reference, next) = chain(&tokens, 1, root);
    (next == tokens.len() && !reference.computed).then_some(reference)
}
