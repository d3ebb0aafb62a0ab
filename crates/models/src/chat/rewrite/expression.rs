//! Expressions: dictionaries keep their order, and what may grow is charged.

use super::lexer::{Kind, Token};

/// Filter that charges for a value as text, and returns it.
pub const PRINTED: &str = "__printed";
/// Filter that charges for a text or the elements of a list, and returns it.
pub const COPIED: &str = "__copied";
/// Filter of both sides of `*`.
pub const FACTOR: &str = "__factor";
/// Function that makes a dictionary of a list of pairs.
pub const DICT: &str = "__dict";
/// Function that makes a list of what a loop iterates over.
pub const ITEMS: &str = "__items";

/// Words that are operators or start a clause.
const WORDS: [&str; 12] =
    ["if", "else", "in", "is", "not", "and", "or", "recursive", "as", "with", "without", "import"];

/// Filters that make a text of what they are given. The others take or give its elements.
const PRINTING: [&str; 16] = [
    "capitalize",
    "e",
    "escape",
    "format",
    "indent",
    "join",
    "lower",
    "pprint",
    "replace",
    "safe",
    "split",
    "string",
    "title",
    "trim",
    "upper",
    "urlencode",
];

/// Rewrites the tokens of an expression. Space between tokens stays, and with it the numbers of lines.
pub struct Expression<'s> {
    pub source: &'s str,
    pub tokens: &'s [Token],
}

impl<'s> Expression<'s> {
    pub fn rewrite(&self) -> String {
        let mut text = String::new();
        let mut at = 0;
        let mut factor = false;
        while at < self.tokens.len() {
            if !self.starts_operand(at) {
                self.copy(at, &mut text);
                factor = self.is(at, "*");
                at += 1;
                continue;
            }
            let gap = self.gap(at);
            let (operand, end) = self.operand(at);
            text.push_str(gap);
            text.push_str(&operand);
            let before_product = self.is(end, "*");
            if factor || before_product {
                text.push('|');
                text.push_str(FACTOR);
            } else if let Some(charge) = self.charge(at.checked_sub(1)).or(self.charge(Some(end))) {
                text.push('|');
                text.push_str(charge);
            }
            factor = false;
            at = end;
        }
        text
    }

    fn word(&self, at: usize) -> &'s str {
        self.tokens.get(at).map_or("", |token| &self.source[token.range.clone()])
    }

    fn is(&self, at: usize, word: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.kind != Kind::Literal) && self.word(at) == word
    }

    /// The charge for a side of an operator.
    fn charge(&self, operator: Option<usize>) -> Option<&'static str> {
        let operator = operator?;
        match () {
            () if self.is(operator, "~") => Some(PRINTED),
            () if self.is(operator, "+") => Some(COPIED),
            () => None,
        }
    }

    /// Space before a token.
    fn gap(&self, at: usize) -> &'s str {
        let start = match at.checked_sub(1) {
            Some(before) => self.tokens[before].range.end,
            None => self.tokens[at].range.start,
        };
        &self.source[start..self.tokens[at].range.start]
    }

    fn copy(&self, at: usize, text: &mut String) {
        text.push_str(self.gap(at));
        text.push_str(self.word(at));
    }

    fn starts_operand(&self, at: usize) -> bool {
        match self.tokens[at].kind {
            Kind::Literal | Kind::Open => true,
            Kind::Name => !WORDS.contains(&self.word(at)),
            Kind::Operator | Kind::Close => false,
        }
    }

    /// The operand at a token with all that follows it without an operator: `.name`, `[...]`, `(...)`, `|filter`.
    /// Also returns the token after it.
    fn operand(&self, start: usize) -> (String, usize) {
        let mut text = String::new();
        let mut at = start;
        if self.tokens[at].kind == Kind::Open {
            let end = self.closing(at);
            text.push_str(&self.bracket(at, end));
            at = end + 1;
        } else {
            text.push_str(self.word(at));
            at += 1;
        }
        while at < self.tokens.len() {
            let gap = self.gap(at);
            match (self.tokens[at].kind, self.word(at)) {
                (Kind::Operator, ".") if at + 1 < self.tokens.len() => {
                    text.push_str(gap);
                    text.push('.');
                    self.copy(at + 1, &mut text);
                    at += 2;
                }
                (Kind::Operator, "|") if at + 1 < self.tokens.len() => {
                    let charge = if PRINTING.contains(&self.word(at + 1)) { PRINTED } else { COPIED };
                    text = format!("{text}|{charge}{gap}|");
                    self.copy(at + 1, &mut text);
                    at += 2;
                }
                (Kind::Open, "(") => {
                    let end = self.closing(at);
                    text.push_str(gap);
                    text.push_str(&self.bracket(at, end));
                    at = end + 1;
                }
                (Kind::Open, "[") => {
                    let end = self.closing(at);
                    if self.split(at + 1, end, ":").len() > 1 {
                        text = format!("({text}|{COPIED})");
                    }
                    text.push_str(gap);
                    text.push_str(&self.bracket(at, end));
                    at = end + 1;
                }
                _ => break,
            }
        }
        (text, at)
    }

    /// The bracket that closes the one at a token; the lexer knows that there is one.
    fn closing(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for (offset, token) in self.tokens[open..].iter().enumerate() {
            match token.kind {
                Kind::Open => depth += 1,
                Kind::Close if depth == 1 => return open + offset,
                Kind::Close => depth -= 1,
                _ => {}
            }
        }
        self.tokens.len() - 1
    }

    /// What is between two brackets, with them.
    fn bracket(&self, open: usize, close: usize) -> String {
        if self.word(open) == "{" {
            return self.dictionary(open, close);
        }
        let inner = self.inner(open + 1, close);
        format!("{}{}{}{}", self.word(open), inner, self.gap(close), self.word(close))
    }

    /// Rewrites a range of tokens, with the space before each.
    fn inner(&self, start: usize, end: usize) -> String {
        let Some(first) = self.tokens.get(start).filter(|_| start < end) else { return String::new() };
        let before = &self.source[self.tokens[start - 1].range.end..first.range.start];
        let inner = Expression { source: self.source, tokens: &self.tokens[start..end] };
        format!("{before}{}", inner.rewrite())
    }

    /// `{a: b}` as a call with a list of pairs; anything else in braces stays.
    fn dictionary(&self, open: usize, close: usize) -> String {
        let mut text = format!("{DICT}([");
        for (start, end) in self.split(open + 1, close, ",") {
            if start == end {
                continue;
            }
            let pair = self.split(start, end, ":");
            let [(key, key_end), (value, value_end)] = pair[..] else {
                return format!("{{{}{}}}", self.inner(open + 1, close), self.gap(close));
            };
            let (key, value) = (self.inner(key, key_end), self.inner(value, value_end));
            text.push_str(&format!("[{key},{value}],"));
        }
        text.push_str(self.gap(close));
        text.push_str("])");
        text
    }

    /// Ranges of tokens between separators that are in no bracket.
    fn split(&self, start: usize, end: usize, separator: &str) -> Vec<(usize, usize)> {
        let mut ranges = Vec::new();
        let (mut depth, mut from) = (0_usize, start);
        for at in start..end {
            match self.tokens[at].kind {
                Kind::Open => depth += 1,
                Kind::Close => depth = depth.saturating_sub(1),
                Kind::Operator if depth == 0 && self.word(at) == separator => {
                    ranges.push((from, at));
                    from = at + 1;
                }
                _ => {}
            }
        }
        ranges.push((from, end));
        ranges
    }
}
